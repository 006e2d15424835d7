"""A pipeline is uploaded once per version, which is named by its git commit or its digest."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import dsl, kubernetes

from kfp_edge.client.submission.package import make_package
from kfp_edge.errors import KfpEdgeError, ParameterError, PipelineError
from kfp_edge.spec import compile_to_yaml
from support.clients import (
    client_of,
    learn,
    make_checkout,
    only,
    small,
    submit_small,
    write_small,
)
from support.fake_kfp import FakeKfp
from support.paths import SHARED

PIPELINES = SHARED / "recorded" / "pipelines"

pytestmark = pytest.mark.usefixtures("no_pauses", "work_folder")


def version_names(server: FakeKfp) -> list[str]:
    return [version["display_name"] for version in server.store.versions.values()]


def test_a_version_is_named_by_the_git_commit_of_a_clean_checkout(server: FakeKfp, work_folder: Path) -> None:
    file = write_small(work_folder)
    commit = make_checkout(work_folder)
    client_of(server).submit(file, {"rows": 1})
    assert version_names(server) == [commit[:12]]
    assert only(server.store.versions)["name"] == f"small-{commit[:12]}"
    assert only(server.store.runs)["runtime_config"]["parameters"] == {"revision": commit, "rows": 1}


def test_a_version_from_a_changed_checkout_adds_the_digest_of_the_yaml(server: FakeKfp, work_folder: Path) -> None:
    commit = make_checkout(work_folder)
    client_of(server).submit(write_small(work_folder), {"rows": 1})
    assert version_names(server) == [next(make_package(Path("small.yaml")).version_names)]
    assert version_names(server)[0].startswith(f"{commit[:12]}-")


def test_a_version_from_outside_a_checkout_is_named_by_the_digest(server: FakeKfp) -> None:
    submit_small(server)
    assert len(version_names(server)[0]) == 12


def test_other_yaml_of_the_same_commit_is_another_version(server: FakeKfp, work_folder: Path) -> None:
    commit = make_checkout(work_folder)
    submit_small(server)
    submit_small(server, cache=False)
    submit_small(server)
    assert [name[:13] for name in version_names(server)] == [commit[:12], f"{commit[:12]}-"]


def test_numbers_that_the_backend_returns_as_floats_are_the_same_version(server: FakeKfp, tmp_path: Path) -> None:
    package = make_package(write_small(tmp_path))
    spec = package.document.spec
    platform = {"platforms": {"kubernetes": {}}}
    assert package.is_equal_to(convert_numbers_to_floats(spec))
    assert not package.is_equal_to({"pipeline_spec": spec, "platform_spec": platform})


def convert_numbers_to_floats(value: Any) -> Any:
    """Return numbers as Go's protobuf `Struct` does."""
    match value:
        case dict():
            return {key: convert_numbers_to_floats(item) for key, item in value.items()}
        case list():
            return [convert_numbers_to_floats(item) for item in value]
        case bool():
            return value
        case int():
            return float(value)
    return value


def test_a_version_that_another_client_uploads_at_the_same_moment_is_reused(server: FakeKfp) -> None:
    server.drop_response("POST", "/apis/v2beta1/pipelines/upload_version")
    server.drop_response("POST", "/apis/v2beta1/experiments")
    submit_small(server)
    assert len(server.store.versions) == len(server.store.experiments) == len(server.store.runs) == 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"gates": "{roc_auc: 95}"}, "the gate roc_auc is 95"),
        ({"task": "anomalies"}, "did you mean anomaly?"),
        ({"model_name": "Press_1"}, "did you mean press-1?"),
        ({"cpu": "0.5 cores"}, "cpu is '0.5 cores', which no pod can have"),
        ({"memory": "512Mi"}, "memory is '512Mi', but a task requests 1Gi"),
        ({"data": "https://data.example.com/a.csv?sv=1&sig=0123456789"}, "looks like a signed URL"),
    ],
)
def test_a_parameter_that_a_stage_would_refuse_is_refused_before_anything_is_sent(
    values: dict[str, str], message: str
) -> None:
    with pytest.raises(ParameterError) as caught:
        make_package("training").arguments({"target": "failed", **values})
    assert message in str(caught.value)
    assert "0123456789" not in str(caught.value)


@dsl.pipeline(name="small")
def with_secret() -> None:
    """Run one stage with a Secret, which gives the file a platform spec."""
    kubernetes.use_secret_as_env(learn(rows=1), "storage", {"password": "PASSWORD"})


SPEC, PLATFORM = yaml.safe_load_all(compile_to_yaml(with_secret))


def dump(*documents: Any) -> str:
    return yaml.safe_dump_all(documents, explicit_start=True)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty-first.yaml", f"---\n{dump(SPEC, PLATFORM)}".encode()),
        ("platform-first.yaml", dump(PLATFORM, SPEC).encode()),
        ("empty-between.yaml", dump(None, SPEC, None, PLATFORM, None).encode()),
        ("utf-16.yaml", dump(SPEC, PLATFORM).encode("utf-16")),
        ("utf-16-be.yaml", b"\xfe\xff" + dump(SPEC, PLATFORM).encode("utf-16-be")),
        ("bom.yaml", dump(SPEC, PLATFORM).encode("utf-8-sig")),
        ("crlf.yml", dump(SPEC, PLATFORM).replace("\n", "\r\n").encode()),
        ("UPPER.YAML", dump(SPEC, PLATFORM).encode()),
        ("two.json", f"{json.dumps(SPEC)}\n---\n{json.dumps(PLATFORM)}".encode()),
    ],
)
def test_a_file_is_submitted_in_every_form_that_a_backend_takes(
    server: FakeKfp, work_folder: Path, name: str, content: bytes
) -> None:
    work_folder.joinpath(name).write_bytes(content)
    client_of(server).submit(name)
    assert only(server.store.versions)["pipeline_spec"] == {"pipeline_spec": SPEC, "platform_spec": PLATFORM}


@pytest.mark.parametrize("indent", [None, 2, "\t"])
def test_json_is_submitted(server: FakeKfp, work_folder: Path, indent: int | str | None) -> None:
    spec = {**SPEC, "pipelineInfo": {"name": "small", "description": "π 5 µm\u2028"}}
    work_folder.joinpath("small.json").write_text(json.dumps(spec, indent=indent))
    client_of(server).submit("small.json")
    assert only(server.store.versions)["pipeline_spec"] == spec


def test_fields_in_protobuf_s_spelling_are_the_same_pipeline(server: FakeKfp, work_folder: Path) -> None:
    text = dump(SPEC, PLATFORM)
    for name in ("pipelineInfo", "schemaVersion", "executorLabel", "componentRef", "cachingOptions", "deploymentSpec"):
        snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
        text = text.replace(f"{name}:", f"{snake}:")
    assert text != dump(SPEC, PLATFORM)
    work_folder.joinpath("snake.yaml").write_text(text)
    assert make_package("snake.yaml").document.spec == SPEC
    client_of(server).submit("snake.yaml", cache=False)
    assert "caching_options" not in str(only(server.store.versions)["pipeline_spec"])


def test_a_file_is_the_same_version_however_it_is_written(work_folder: Path) -> None:
    work_folder.joinpath("a.yaml").write_text(dump(SPEC, PLATFORM))
    work_folder.joinpath("b.yaml").write_text(f"# a comment\n{json.dumps(PLATFORM)}\n---\n{json.dumps(SPEC)}")
    assert list(make_package("a.yaml").version_names) == list(make_package("b.yaml").version_names)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.yaml", b"\xff\xff", "a backend would refuse a.yaml: not valid YAML"),
        ("a.json", b"{", "a backend would refuse a.json: not valid YAML: line 1, column 2"),
        ("a.yaml", b"", "a backend would refuse a.yaml: the file holds no document"),
        ("a.yaml", b"---\n---\n", "a backend would refuse a.yaml: the file holds no document"),
        ("missing/a.yaml", None, "cannot read the pipeline missing/a.yaml: No such file or directory; check the path"),
        ("missing/a", None, "cannot read the pipeline missing/a: No such file or directory; check the path"),
        ("no-such", None, "there is no pipeline 'no-such'"),
    ],
)
def test_a_file_that_is_no_pipeline_is_refused_in_one_sentence(
    server: FakeKfp, work_folder: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        work_folder.joinpath(name).write_bytes(content)
    with pytest.raises(PipelineError) as caught:
        client_of(server).submit(name)
    assert str(caught.value).startswith(message)
    assert server.sent == []


def test_a_function_that_a_backend_would_refuse_is_not_sent(server: FakeKfp) -> None:
    @dsl.container_component
    def without_image() -> dsl.ContainerSpec:
        return dsl.ContainerSpec(image="", command=["true"])

    @dsl.pipeline(name="no-image")
    def no_image() -> None:
        without_image()

    with pytest.raises(PipelineError, match=r"a backend would refuse the pipeline no-image: .*image is missing"):
        client_of(server).submit(no_image)
    assert server.sent == []


@pytest.mark.parametrize(
    ("note", "message"),
    [
        ("go 🚀", "the parameter note contains '🚀' (U+1F680), and the database of a server stores no character"),
        ("{{workflow.name}}", "the parameter note contains {{workflow.name}}, which Argo Workflows would replace"),
        ("{{=1+1}}", "the parameter note contains {{=1+1}}, which Argo Workflows would replace"),
        (
            "{{ tasks.a.b }}",
            "the parameter note contains {{ tasks.a.b }}, which Argo Workflows would replace or refuse",
        ),
        ("x" * 131072, "the parameters have 131161 bytes in JSON, most of them in note, and a run takes 131071 in all"),
        # in JSON, Go writes six bytes for it
        ("<" * 22000, "the parameters have 132"),
    ],
    ids=["emoji", "variable", "expression", "unknown", "long", "escaped"],
)
def test_a_value_that_does_not_arrive_is_refused_before_anything_is_sent(
    server: FakeKfp, note: str, message: str
) -> None:
    with pytest.raises(ParameterError) as caught:
        client_of(server).submit(small, {"rows": 1, "note": note})
    assert str(caught.value).startswith(message)
    assert server.sent == []


@pytest.mark.parametrize(
    "note",
    ["{{ x }}", "{{$.name}}", "{{}}", "{{item}}", "{{ inputs }}", "{{= a.b }}", "ü ✓ 日本", "x" * 100_000],
    ids=["other", "kfp", "empty", "item", "no-variable", "no-expression", "letters", "long"],
)
def test_other_braces_letters_and_long_values_are_sent(server: FakeKfp, note: str) -> None:
    submit_small(server, note=note)
    assert only(server.store.runs)["runtime_config"]["parameters"]["note"] == note


@pytest.mark.skipif(not PIPELINES.exists(), reason="the folder of shared data is not beside this checkout")
def test_every_recorded_pipeline_is_submitted_or_refused_in_one_sentence(server: FakeKfp) -> None:
    errors = {}
    for verdict in json.loads((PIPELINES / "verdicts.json").read_text()):
        try:
            client_of(server).submit(PIPELINES / verdict["file"], name=verdict["file"])
        except KfpEdgeError as error:
            errors[verdict["file"]] = str(error)
        else:
            assert verdict["upload"] == 200, verdict
    assert all(len(error.splitlines()) == 1 for error in errors.values())
    assert len(errors) < 90

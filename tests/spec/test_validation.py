import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from kfp import compiler, dsl, kubernetes
from kfp.compiler.compiler_utils import KubernetesManifestOptions
from typer.testing import CliRunner

from kfp_edge.cli.app import app
from kfp_edge.rules import Lint, lint_text
from kfp_edge.spec.compilation import compile_text
from kfp_edge.spec.validation import Finding, PipelineInfo, ValidationReport, validate_file, validate_text
from support.pipelines import IMAGE
from support.pipelines import TEXT as CLEAN


@dsl.component(base_image="example.com/a:1", install_kfp_package=False)
def make(count: int, made: dsl.Output[dsl.Dataset]) -> str:
    return str(count)


@dsl.component(base_image="example.com/b:2", install_kfp_package=False)
def use(made: dsl.Input[dsl.Dataset], text: str = "x") -> int:
    return len(text)


@dsl.component(base_image="example.com/b:2", install_kfp_package=False)
def numbers() -> list[int]:
    return [1, 2]


@dsl.component(base_image="example.com/b:2", install_kfp_package=False)
def collect(lengths: list[int], made: dsl.Input[list[dsl.Dataset]]) -> None:
    print(lengths)


@dsl.component(base_image="example.com/b:2", install_kfp_package=False)
def finish(status: dsl.PipelineTaskFinalStatus) -> None:
    print(status)


@dsl.pipeline
def inner(count: int) -> dsl.Dataset:
    return make(count=count).outputs["made"]


@dsl.pipeline(name="every-shape")
def every_shape(count: int = 3, flag: str = "yes") -> str:
    """Every construct of KFP that leaves its own trace in the spec."""
    imported = dsl.importer(artifact_uri="s3://bucket/x", artifact_class=dsl.Dataset, metadata={"a": "b"})
    use(made=imported.output).set_caching_options(False)
    with dsl.ExitHandler(finish()):
        used = use(made=inner(count=count).output).set_retry(3).set_cpu_limit("1").set_env_variable("A", "b")
        kubernetes.use_secret_as_env(used, "secret", {"key": "VARIABLE"})
        kubernetes.set_timeout(used, 10)
        with dsl.ParallelFor(numbers().output, parallelism=2) as item:
            made = make(count=item)
            length = use(made=made.outputs["made"])
        collect(lengths=dsl.Collected(length.output), made=dsl.Collected(made.outputs["made"]))
    with dsl.If(flag == "yes"):
        first = make(count=1)
    with dsl.Else():
        second = make(count=2)
    return dsl.OneOf(first.outputs["Output"], second.outputs["Output"])


TEXT = compile_text(every_shape)
SPEC, PLATFORM = yaml.safe_load_all(TEXT)

#: Keys under which names are free, and keys under which the whole value is.
MAPS = {"components", "tasks", "parameters", "artifacts", "executors", "platforms"}
FREE = {"constant", "defaultValue", "metadata"}


def messages(value: Any, path: tuple[Any, ...] = (), is_map: bool = False) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every mapping whose keys are fields of a protobuf message."""
    if isinstance(value, dict):
        if not is_map:
            yield path
        for key, item in value.items():
            if is_map or key not in FREE:
                yield from messages(item, (*path, key), is_map=not is_map and key in MAPS)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from messages(item, (*path, index))


def nodes(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from nodes(item, (*path, key))


def within(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def told(path: tuple[Any, ...]) -> str:
    return re.sub(r"\.?\[", "[", ".".join(f"[{key}]" if isinstance(key, int) else key for key in path))


def findings(spec: Any, platform: Any = PLATFORM) -> tuple[Finding, ...]:
    return validate_text(yaml.dump_all([spec, platform], Dumper=yaml.CSafeDumper)).findings


def line(finding: Finding) -> str:
    return f"{finding.path}: {finding.message}"


def sentence(text: str | bytes) -> str:
    (finding,) = validate_text(text).findings
    assert finding.path == ""
    return finding.message


def test_a_pipeline_of_every_shape_is_in_order_and_described() -> None:
    report = validate_text(TEXT)
    assert report.findings == ()
    assert report.pipelines == (PipelineInfo("every-shape", 17, ("example.com/a:1", "example.com/b:2")),)


def test_json_is_read_as_well() -> None:
    assert validate_text(json.dumps(SPEC)).ok


def test_a_single_component_is_in_order() -> None:
    assert validate_text(compile_text(make)).ok


@settings(max_examples=40, deadline=None)
@given(
    path=st.sampled_from(sorted(messages(SPEC), key=str)), name=st.from_regex(r"[a-z]{1,5}_[A-Z]{3}", fullmatch=True)
)
def test_any_unknown_field_of_the_spec_is_reported_with_its_path(path: tuple[Any, ...], name: str) -> None:
    spec = copy.deepcopy(SPEC)
    within(spec, path)[name] = "anything"
    (finding,) = findings(spec)
    assert finding.path == told((*path, name))
    assert "is not a field of" in finding.message


@settings(max_examples=40, deadline=None)
@given(path=st.sampled_from(sorted(messages(PLATFORM), key=str)), value=st.sampled_from(["x", 1, [], {}]))
def test_any_unknown_field_of_the_platform_document_is_reported_with_its_path(
    path: tuple[Any, ...], value: object
) -> None:
    platform = copy.deepcopy(PLATFORM)
    within(platform, path)["unheardOf"] = value
    (finding,) = findings(SPEC, platform)
    assert finding.path == told((*path, "unheardOf"))


@settings(max_examples=40, deadline=None)
@given(name=st.sampled_from(sorted(SPEC["components"])))
def test_deleting_any_component_is_reported_where_it_is_used(name: str) -> None:
    spec = copy.deepcopy(SPEC)
    del spec["components"][name]
    found = findings(spec)
    assert f"there is no component {name!r} in components." in [finding.message for finding in found]
    assert any(finding.path.endswith(".componentRef.name") for finding in found)


@settings(max_examples=40, deadline=None)
@given(label=st.sampled_from(sorted(SPEC["deploymentSpec"]["executors"])))
def test_deleting_any_executor_is_reported_where_it_is_used(label: str) -> None:
    spec = copy.deepcopy(SPEC)
    del spec["deploymentSpec"]["executors"][label]
    messages_found = [finding.message for finding in findings(spec)]
    assert f"there is no executor {label!r} in deploymentSpec.executors." in messages_found


@settings(max_examples=40, deadline=None)
@given(
    path=st.sampled_from(sorted(filter(None, nodes(SPEC)), key=str)),
    junk=st.sampled_from([None, True, 7, 1.5, "text", [], ["x"], [[]], {}, {"a": "b"}, {1: 2}]),
)
def test_nothing_that_replaces_a_part_makes_the_check_itself_fail(path: tuple[Any, ...], junk: object) -> None:
    spec = copy.deepcopy(SPEC)
    within(spec, path[:-1])[path[-1]] = junk
    text = yaml.dump_all([spec, PLATFORM], Dumper=yaml.CSafeDumper)
    assert isinstance(validate_text(text), ValidationReport)
    assert isinstance(lint_text(text), Lint)


@settings(max_examples=40, deadline=None)
@given(st.one_of(st.binary(max_size=60), st.text(max_size=60)))
def test_a_file_of_anything_at_all_gets_an_answer(text: str | bytes) -> None:
    assert not validate_text(text).ok


LOOP = "components.comp-for-loop-2.dag"
USE = f"{LOOP}.tasks.use-3.inputs"
STATUS = "root.dag.tasks.finish.inputs.parameters.status.taskFinalStatus"
COUNT = "root.dag.tasks.exit-handler-1.inputs.parameters.pipelinechannel--count"


@pytest.mark.parametrize(
    ("path", "value", "finding"),
    [
        (
            "root.dag.tasks.finish.dependentTasks",
            ["gone"],
            "root.dag.tasks.finish.dependentTasks[0]: there is no task 'gone'",
        ),
        (f"{STATUS}.producerTask", "gone", f"{STATUS}.producerTask: there is no task 'gone'"),
        (
            f"{USE}.artifacts.made.taskOutputArtifact.outputArtifactKey",
            "gone",
            f"{USE}.artifacts.made.taskOutputArtifact.outputArtifactKey: comp-make-2, which the task 'make' runs, "
            "has no output artifact 'gone'",
        ),
        (
            f"{USE}.artifacts.made.taskOutputArtifact.producerTask",
            "gone",
            f"{USE}.artifacts.made.taskOutputArtifact.producerTask: there is no task 'gone' in {LOOP}.tasks",
        ),
        (
            f"{COUNT}.componentInputParameter",
            "gone",
            f"{COUNT}.componentInputParameter: the pipeline has no input parameter",
        ),
        (
            "root.dag.tasks.use.inputs",
            {},
            "root.dag.tasks.use.inputs.artifacts: comp-use needs the input artifact 'made'",
        ),
        (
            "components.comp-condition-branches-3.dag.tasks.condition-4.triggerPolicy.condition",
            "inputs.parameter_values['gone'] == 'x'",
            "components.comp-condition-branches-3.dag.tasks.condition-4.triggerPolicy.condition: "
            "the task has no input parameter 'gone'",
        ),
        (
            f"{LOOP}.outputs.parameters.pipelinechannel--use-3-Output.valueFromParameter.outputParameterKey",
            "gone",
            f"{LOOP}.outputs.parameters.pipelinechannel--use-3-Output.valueFromParameter.outputParameterKey: "
            "comp-use-3, which the task 'use-3' runs, has no output parameter 'gone'",
        ),
        ("root.outputDefinitions", {}, "root.dag.outputs.parameters.Output: is not in outputDefinitions"),
        ("components.comp-make-2", {}, "components.comp-make-2: has neither a dag nor an executorLabel"),
        ("components.comp-make-2.dag", {}, "components.comp-make-2.executorLabel: cannot stand beside dag; choose one"),
        ("schemaVersion", "2.0.0", "schemaVersion: must be 2.1.0, the one a backend takes; found 2.0.0"),
        ("pipelineInfo", {}, "pipelineInfo.name: must hold a lower-case letter or a digit"),
        ("root", None, "root: is missing"),
        ("deploymentSpec.executors.exec-make", {}, "deploymentSpec.executors.exec-make: says nothing to run"),
        (
            "deploymentSpec.executors.exec-make.container.image",
            "",
            "deploymentSpec.executors.exec-make.container.image: is",
        ),
        (
            "deploymentSpec.executors.exec-make.container.args",
            ["a", 5],
            "deploymentSpec.executors.exec-make.container.args[1]: must be text, not 5",
        ),
        (
            "root.dag.tasks.use.cachingOptions.enableCache",
            "no",
            "root.dag.tasks.use.cachingOptions.enableCache: must be true",
        ),
        (
            "root.dag.tasks.use.dependentTasks",
            "importer",
            "root.dag.tasks.use.dependentTasks: must be a list, not 'importer'",
        ),
        ("root.dag.tasks", ["use"], "root.dag.tasks: must be a mapping, not a list"),
        (
            "root.inputDefinitions.parameters.count.parameterType",
            "INTEGER",
            "root.inputDefinitions.parameters.count.parameterType: must be one of PARAMETER_TYPE_ENUM_UNSPECIFIED, ",
        ),
    ],
)
def test_what_does_not_fit_is_reported_with_its_place(path: str, value: object, finding: str) -> None:
    spec = copy.deepcopy(SPEC)
    *parents, last = path.split(".")
    within(spec, tuple(parents))[last] = value
    assert any(line(found).startswith(finding) for found in findings(spec))


def test_every_unknown_field_is_reported_and_not_only_the_first() -> None:
    spec = copy.deepcopy(SPEC)
    spec["rooot"] = {}
    spec["pipelineInfo"]["nmae"] = "x"
    assert sorted(map(line, findings(spec))) == [
        "pipelineInfo.nmae: is not a field of PipelineInfo; did you mean name?",
        "rooot: is not a field of PipelineSpec; did you mean root?",
    ]


def test_a_key_that_is_no_plain_word_is_quoted_in_the_path() -> None:
    spec = copy.deepcopy(SPEC)
    spec["components"]["a.b"] = {"executorLabel": "exec-make", "x y": 1}
    assert [finding.path for finding in findings(spec)] == ['components["a.b"]["x y"]']


def test_a_task_that_waits_for_itself_is_reported() -> None:
    spec = copy.deepcopy(SPEC)
    spec["root"]["dag"]["tasks"]["importer"]["dependentTasks"] = ["use"]
    spec["root"]["dag"]["tasks"]["use"]["dependentTasks"] = ["importer"]
    (finding,) = findings(spec)
    assert "waits for itself: " in finding.message
    assert finding.path in {"root.dag.tasks.use", "root.dag.tasks.importer"}


def test_a_component_that_contains_itself_is_reported() -> None:
    spec = copy.deepcopy(SPEC)
    spec["components"]["comp-inner"]["dag"]["tasks"]["again"] = {
        "componentRef": {"name": "comp-inner"},
        "inputs": {"parameters": {"count": {"componentInputParameter": "count"}}},
    }
    assert list(map(line, findings(spec))) == ["components.comp-inner: contains itself: comp-inner -> comp-inner."]


def test_a_platform_executor_that_the_pipeline_lacks_is_reported() -> None:
    platform = copy.deepcopy(PLATFORM)
    platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["gone"] = {}
    (finding,) = findings(SPEC, platform)
    assert finding.path == "platforms.kubernetes.deploymentSpec.executors.gone"


def native_manifests(tmp_path: Path) -> list[Any]:
    path = tmp_path / "native.yaml"
    options = KubernetesManifestOptions(pipeline_name="every-shape", include_pipeline_manifest=True)
    compiler.Compiler().compile(
        every_shape, str(path), kubernetes_manifest_format=True, kubernetes_manifest_options=options
    )
    return list(yaml.safe_load_all(path.read_text()))


def test_kubernetes_native_manifests_are_in_order(tmp_path: Path) -> None:
    report = validate_text(yaml.safe_dump_all(native_manifests(tmp_path)))
    assert report.findings == ()
    assert [pipeline.name for pipeline in report.pipelines] == ["every-shape"]


@pytest.mark.parametrize("part", ["pipelineSpec", "platformSpec"])
def test_a_fault_in_a_kubernetes_native_manifest_is_reported_from_the_manifest_s_root(
    tmp_path: Path, part: str
) -> None:
    pipeline, version = native_manifests(tmp_path)
    version["spec"][part]["unheardOf"] = 1
    alone = validate_text(yaml.safe_dump(version)).findings
    both = validate_text(yaml.safe_dump_all([pipeline, version])).findings
    assert [finding.path for finding in alone] == [f"spec.{part}.unheardOf"]
    assert [finding.path for finding in both] == [f"documents[2].spec.{part}.unheardOf"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file holds no document"),
        ("a: [1", "not valid YAML: line 1, column 6: "),
        ("root:\n  dag: {}\n  dag: {}\n", "not valid YAML: line 3, column 3: the key 'dag' is given twice"),
        (b"\xff\xfe\xff", "not valid YAML: "),
        ("- a\n- b\n", "document 1 is not a mapping"),
        ("root: {}\ndeploymentSpec: &a\n  b: *a\n", "nested too deeply, or a YAML alias in it refers to itself"),
        ("[" * 5000, "nested too deeply"),
        ("apiVersion: argoproj.io/v1alpha1\nkind: Workflow\n", "which KFP v1 compiled to, not KFP v2"),
        ("name: Add\nimplementation: {container: {image: x}}\n", "a KFP v1 component"),
        ("apiVersion: v1\nkind: Secret\n", "is a Kubernetes Secret, not a KFP v2 pipeline"),
        ("name: x\n", "neither a KFP v2 pipeline spec nor a platform spec"),
        ("platforms: {}\n", "a platform spec but no pipeline spec"),
        ("root: {}\n---\nroot: {}\n", "more than one pipeline spec"),
        ("root: {}\n---\nplatforms: {}\n---\nplatforms: {}\n", "more than one platform spec"),
        ("apiVersion: pipelines.kubeflow.org/v2beta1\nkind: Pipeline\n", "no PipelineVersion"),
        ("apiVersion: pipelines.kubeflow.org/v2beta1\nkind: PipelineVersion\n", "has no spec.pipelineSpec"),
    ],
)
def test_a_file_that_is_no_kfp_v2_pipeline_is_told_in_one_sentence(text: str | bytes, said: str) -> None:
    assert said in sentence(text)


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    report = validate_file(tmp_path / "missing.yaml")
    assert report.findings == (Finding("KE100", "", "cannot read the file: No such file or directory."),)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to be in, with a file for each end that the command can take."""
    monkeypatch.chdir(tmp_path)
    texts = {
        "clean.yaml": CLEAN,
        "warned.yaml": CLEAN.replace("@sha256:" + "1" * 64, ":1", 1),
        "wrong.yaml": CLEAN.replace("executorLabel: exec-work\n", "executorLabel: gone\n"),
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def invoke(*args: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["validate", *args])
    return result.exit_code, result.stdout


@pytest.mark.usefixtures("files")
def test_the_command_checks_every_file_and_fails_if_one_is_not_in_order() -> None:
    code, told = invoke("missing.yaml", "wrong.yaml", "clean.yaml")
    assert code == 1
    assert "missing.yaml: 1 error\n  error: KE100 cannot read the file: No such file or directory.\n" in told
    assert "wrong.yaml: 1 error\n  pipeline in-order, 2 tasks\n" in told
    assert ": components.comp-work.executorLabel: there is no executor 'gone'" in told
    assert told.endswith("clean.yaml: OK\n  pipeline in-order, 2 tasks\n  image " + IMAGE + "\n")


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["clean.yaml"], 0),
        (["warned.yaml"], 0),
        (["--strict", "clean.yaml"], 0),
        (["--strict", "warned.yaml"], 1),
        (["--strict", "--ignore", "KE001", "warned.yaml"], 0),
        (["--ignore", "KE001", "wrong.yaml"], 1),
        ([], 2),
        (["--ignore", "KE042", "clean.yaml"], 2),
        (["--ignore", "KE102", "wrong.yaml"], 2),
        (["--explain", "KE042"], 2),
        (["--explain", "KE005"], 0),
    ],
)
def test_the_exit_code_tells_errors_and_if_wanted_warnings(args: list[str], code: int) -> None:
    assert invoke(*args)[0] == code


@pytest.mark.usefixtures("files")
def test_a_warning_is_told_with_its_code_its_line_and_its_place() -> None:
    _, told = invoke("warned.yaml")
    place = "deploymentSpec.executors.exec-work.container.image: quay.io/plant/work:1 is named by a tag"
    assert re.search(rf"^warned.yaml: 1 warning\n(.*\n)*  warning: KE001 line \d+: {place}", told)


def test_a_rule_is_explained() -> None:
    _, told = invoke("--explain", "KE005")
    assert told.startswith("KE005 Side effect with caching on (error)\n\nWith caching on, ")
    assert "set_caching_options(False)" in told


@pytest.mark.usefixtures("files")
def test_json_holds_all_that_the_text_says() -> None:
    code, told = invoke("--format", "json", "clean.yaml", "warned.yaml", "missing.yaml")
    clean, warned, missing = json.loads(told)["files"]
    assert code == 1
    assert clean == {
        "file": "clean.yaml",
        "errors": 0,
        "warnings": 0,
        "pipelines": [{"name": "in-order", "tasks": 2, "images": [IMAGE]}],
        "findings": [],
    }
    (finding,) = warned["findings"]
    assert (finding["code"], finding["severity"], finding["allowed"]) == ("KE001", "warning", None)
    assert (
        Path("warned.yaml").read_text().splitlines()[finding["line"] - 1][finding["column"] - 1 :].startswith("image:")
    )
    assert missing["findings"][0]["line"] is None


@pytest.mark.usefixtures("files")
def test_sarif_is_one_document() -> None:
    code, told = invoke("--format", "sarif", "warned.yaml")
    assert code == 0
    assert [result["ruleId"] for result in json.loads(told)["runs"][0]["results"]] == ["KE001"]


@pytest.mark.usefixtures("files")
def test_github_gets_commands_that_annotate_and_nothing_when_all_is_well() -> None:
    _, told = invoke("--format", "github", "warned.yaml", "missing.yaml")
    warning, error = told.splitlines()
    assert re.fullmatch(
        r"::warning file=warned\.yaml,title=KE001 Image not pinned by digest,line=\d+,col=\d+::deploymentSpec\..*",
        warning,
    )
    assert error.startswith("::error file=missing.yaml,title=KE100 Not a KFP v2 pipeline::cannot read the file: ")
    assert invoke("--format", "github", "clean.yaml") == (0, "")


def test_no_text_can_begin_a_command_of_its_own_in_a_workflow(files: Path) -> None:
    text = CLEAN.replace(IMAGE, '"quay.io/plant/100%\\n::error::x:1"', 1)
    (files / "a,b:c.yaml").write_text(text, encoding="utf-8")
    _, told = invoke("--format", "github", "a,b:c.yaml")
    (line,) = told.splitlines()
    assert line.startswith("::warning file=a%2Cb%3Ac.yaml,title=")
    assert "quay.io/plant/100%25%0A::error::x:1 is named" in line

"""Pipelines are compiled for a backend, and read as that backend reads them."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp import dsl, kubernetes
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2
from typer.testing import CliRunner

from kfp_edge.cli.app import app
from kfp_edge.errors import ParameterError
from kfp_edge.rules import lint_text
from kfp_edge.spec import Finding, validate_text
from kfp_edge.spec.backends.profiles import (
    BACKEND_NAMES,
    BACKENDS,
    DEFAULT_BACKEND,
    FIELD_FACTS,
    Backend,
    find_backend,
    find_release,
)
from kfp_edge.spec.backends.schema import load_schema
from kfp_edge.spec.compiling import compiler
from kfp_edge.spec.compiling.target import CompileTarget, RunLimits
from support.pipelines import TEXT, dump_yaml

WITH_LIMITS = {"rhoai-3.4", "rhoai-3.5", "kfp-2.17"}
SINCE_3_0 = set(BACKENDS) - {"rhoai-2.25"}
SINCE_KFP_2_16 = {"rhoai-3.4", "rhoai-3.5", "kfp-2.16", "kfp-2.17"}


def names_of_backends_that_take(text: str) -> set[str]:
    return {backend.name for backend in BACKENDS.values() if validate_text(text, backend).ok}


def with_platform(**parts: Any) -> str:
    """The pipeline without findings, its second task and its pipeline configured in this way."""
    spec, platform = yaml.safe_load_all(TEXT)
    kubernetes_spec = platform["platforms"]["kubernetes"]
    config = kubernetes_spec["deploymentSpec"]["executors"]["exec-work-2"]
    kubernetes_spec.update({key: parts.pop(key) for key in ("pipelineConfig",) if key in parts})
    config.update(parts)
    return dump_yaml(spec, platform)


def test_the_default_is_the_newest_openshift_ai() -> None:
    versions = [name.removeprefix("rhoai-") for name in BACKENDS if name.startswith("rhoai-")]
    assert DEFAULT_BACKEND.name == f"rhoai-{max(versions, key=lambda text: tuple(map(int, text.split('.'))))}"


def test_a_backend_of_openshift_ai_may_be_named_by_its_version() -> None:
    assert find_backend("2.25") is BACKENDS["rhoai-2.25"]


@pytest.mark.parametrize(
    ("name", "profile", "title"),
    [
        ("rhoai-3.1", "rhoai-3.0", "OpenShift AI 3.1"),
        ("rhoai-3.2", "rhoai-3.0", "OpenShift AI 3.2"),
        ("3.2.1", "rhoai-3.0", "OpenShift AI 3.2"),
        ("RHOAI-3.5.0", "rhoai-3.5", "OpenShift AI 3.5"),
        ("v2.25.3", "rhoai-2.25", "OpenShift AI 2.25 EUS"),
        ("kfp-2.17.3", "kfp-2.17", "KFP 2.17"),
    ],
)
def test_a_version_has_the_profile_of_its_minor_version(name: str, profile: str, title: str) -> None:
    backend = find_backend(name)
    assert (backend.name, backend.title) == (profile, title)


@pytest.mark.parametrize("name", BACKEND_NAMES)
def test_every_name_that_is_listed_is_taken(name: str) -> None:
    assert find_backend(name).name in BACKENDS


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("rhoai-3.6", "rhoai-3.5"),
        ("3.6", "rhoai-3.5"),
        ("2.24", "rhoai-2.25"),
        ("2.16", "kfp-2.16"),
        ("kfp-2.15", "kfp-2.16"),
        ("rhoai3.4", "rhoai-3.4"),
        ("3.5.0-ea.1", "rhoai-3.5"),
    ],
)
def test_the_nearest_backend_is_suggested_for_an_unknown_one(name: str, suggestion: str) -> None:
    pattern = rf"no backend '{name}'; did you mean {suggestion}\? the backends are: rhoai-2\.25, .*, rhoai-3\.2, .*"
    with pytest.raises(ParameterError, match=pattern):
        find_backend(name)


@pytest.mark.parametrize("version", ["", "unknown", "3", "3.5.0-ea.1", "3.5-rc.1", "main", "1.3.5"])
def test_a_version_that_is_no_release_has_no_profile(version: str) -> None:
    assert find_release("rhoai", version) is None


@pytest.mark.parametrize("version", ["3.5", "3.5.0", "v3.5.2", "3.5.1-0.1748.p", "3.5.0+20261101"])
def test_a_rebuild_has_the_profile_of_its_release(version: str) -> None:
    assert find_release("rhoai", version) is BACKENDS["rhoai-3.5"]


def test_an_unknown_backend_is_reported_with_those_there_are() -> None:
    with pytest.raises(ParameterError, match=r"no backend 'sky'; the backends are: rhoai-2\.25, .*, kfp-2\.17\."):
        find_backend("sky")


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=list(BACKENDS))
@pytest.mark.parametrize("name", compiler.pipeline_names())
def test_our_pipelines_are_taken_by_every_backend_and_parsed_by_its_messages(name: str, backend: Backend) -> None:
    text = compiler.compile_to_yaml(compiler.load_pipeline(name), CompileTarget(backend))
    spec, platform = yaml.safe_load_all(text)
    schema = load_schema(backend)
    assert validate_text(text, backend).findings == ()
    json_format.ParseDict(spec, schema.pipeline_spec())
    json_format.ParseDict(spec["deploymentSpec"], schema.deployment_config())
    json_format.ParseDict(platform, schema.platform_spec())
    for config in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
        json_format.ParseDict(config, schema.executor_config())


@pytest.mark.parametrize(
    ("parts", "backends"),
    [
        ({"pipelineConfig": {"resourceTtlOnCompletion": 600}}, WITH_LIMITS),
        ({"pipelineConfig": {"resourceTtlOnSuccess": 600, "resourceTtlOnFailure": 900}}, WITH_LIMITS),
        ({"pipelineConfig": {"activeDeadlineSeconds": 600}}, WITH_LIMITS),
        ({"pipelineConfig": {"semaphoreKey": "a"}}, {"rhoai-2.25", "rhoai-3.0", "rhoai-3.3"}),
        ({"pipelineConfig": {"resourceTtl": 60}}, {"rhoai-2.25", "rhoai-3.0", "rhoai-3.3", "kfp-2.16"}),
        ({"securityContext": {"runAsNonRoot": True}}, SINCE_KFP_2_16),
        ({"pvcMount": [{"constant": "data", "mountPath": "/data", "subPath": "a"}]}, SINCE_KFP_2_16),
        ({"configMapAsEnv": [{"configMapName": "a", "optional": True}]}, SINCE_3_0),
        ({"secretAsEnv": [{"secretName": "a", "optional": True}]}, SINCE_3_0),
        ({"secretAsVolume": [{"secretName": "a", "mountPath": "/a", "optional": True}]}, set(BACKENDS)),
        ({"nodeAffinity": [{"nodeAffinityJson": {"componentInputParameter": "text"}}]}, SINCE_3_0),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_a_field_is_taken_by_those_backends_that_know_it(parts: dict[str, Any], backends: set[str]) -> None:
    assert names_of_backends_that_take(with_platform(**parts)) == backends


def test_a_volume_that_copies_another_one_needs_kfp_2_17_or_openshift_ai_3_5() -> None:
    schemas = {name: load_schema(backend) for name, backend in BACKENDS.items()}
    create_pvc = {
        name: schema.executor_config.DESCRIPTOR.file.message_types_by_name["CreatePvc"]
        for name, schema in schemas.items()
    }
    know = {name for name, message in create_pvc.items() if "data_source" in message.fields_by_name}
    assert know == {"rhoai-3.5", "kfp-2.17"}
    kind = create_pvc["rhoai-3.5"].fields_by_name["data_source"].message_type
    assert {field.json_name for field in kind.fields} == {"apiGroup", "kind", "name"}


def test_a_time_to_live_is_no_error_by_default() -> None:
    assert validate_text(with_platform(pipelineConfig={"resourceTtlOnCompletion": 600})).ok


def test_a_field_of_other_backends_is_reported_with_their_names_and_with_what_the_server_does() -> None:
    text = with_platform(pipelineConfig={"resourceTtlOnCompletion": 600})
    (finding,) = validate_text(text, BACKENDS["rhoai-3.3"]).findings
    assert finding.path == "platforms.kubernetes.pipelineConfig.resourceTtlOnCompletion"
    assert finding.message == (
        "is not a field of PipelineConfig here, only in rhoai-3.4, rhoai-3.5, kfp-2.17; remove it. The server drops "
        "the whole platform spec in silence, and runs go without its Secrets, volumes and node selectors."
    )


def test_no_field_is_proposed_that_does_nothing() -> None:
    (finding,) = validate_text(with_platform(pipelineConfig={"resourceTt": 1}), BACKENDS["kfp-2.16"]).findings
    assert "remove it, or correct it to one of: workspace." in finding.message


@pytest.mark.parametrize(
    ("backend", "consequence"),
    [("rhoai-2.25", "The run fails when the task starts."), ("rhoai-3.5", "The server refuses to start a run.")],
)
def test_what_happens_to_an_unknown_field_of_a_task_depends_on_the_backend(backend: str, consequence: str) -> None:
    messages = [finding.message for finding in validate_text(with_platform(nope=1), BACKENDS[backend]).findings]
    assert any("is not a field of KubernetesExecutorConfig" in text and consequence in text for text in messages)


@pytest.mark.parametrize(
    ("backend", "consequence"),
    [("rhoai-2.25", "The server refuses to start a run."), ("rhoai-3.5", "The server ignores it in silence.")],
)
def test_an_unknown_field_of_a_container_is_ignored_or_refused(backend: str, consequence: str) -> None:
    spec, platform = yaml.safe_load_all(TEXT)
    spec["deploymentSpec"]["executors"]["exec-work"]["container"]["foo"] = 1
    messages = [finding.message for finding in validate_text(dump_yaml(spec, platform), BACKENDS[backend]).findings]
    assert any("is not a field of PipelineContainerSpec" in text and text.endswith(consequence) for text in messages)


def fields_of(file: Any) -> dict[str, set[str]]:
    """Every message and enumeration of a proto file, by its name there, with its fields or values."""
    result: dict[str, set[str]] = {}

    def walk(message: Any) -> None:
        result[message.full_name.partition(".")[2]] = set(message.fields_by_name)
        for enumeration in message.enum_types:
            result[enumeration.full_name.partition(".")[2]] = set(enumeration.values_by_name)
        for nested in message.nested_types:
            walk(nested)

    for message in file.message_types_by_name.values():
        walk(message)
    return result


def test_the_table_agrees_with_the_installed_messages() -> None:
    specs, platforms = fields_of(pipeline_spec_pb2.DESCRIPTOR), fields_of(kubernetes_executor_config_pb2.DESCRIPTOR)
    has_limits = "resource_ttl_on_completion" in specs["PipelineConfig"]
    spec_schema = load_schema(BACKENDS["kfp-2.17" if has_limits else "kfp-2.16"])
    platform_schema = load_schema(BACKENDS["kfp-2.17" if "data_source" in platforms["CreatePvc"] else "kfp-2.16"])
    assert fields_of(spec_schema.pipeline_spec.DESCRIPTOR.file) == specs
    assert fields_of(platform_schema.executor_config.DESCRIPTOR.file) == platforms


def test_every_row_of_the_table_names_backends_that_exist() -> None:
    for fact in FIELD_FACTS:
        assert set(fact.known_to) < set(BACKENDS), fact


@dsl.component(base_image="example.com/a:1", install_kfp_package=False)
def nothing() -> None:
    pass


@dsl.pipeline(name="with-secrets")
def with_secrets(secret: str = "storage") -> None:
    """Uses Secrets of every kind."""
    task = nothing()
    kubernetes.use_secret_as_env(task, secret, {"key": "VARIABLE"})
    kubernetes.use_config_map_as_env(task, "settings", {"key": "SETTING"})
    kubernetes.use_secret_as_volume(task, secret, "/secret", optional=True)


@dsl.pipeline(name="bare")
def bare() -> None:
    nothing()


def platform_of(text: str) -> dict[str, Any]:
    (platform,) = (
        document["platforms"]["kubernetes"] for document in yaml.safe_load_all(text) if "platforms" in document
    )
    return platform


def test_optional_is_written_only_where_it_is_set() -> None:
    (config,) = platform_of(compiler.compile_to_yaml(with_secrets))["deploymentSpec"]["executors"].values()
    assert "optional" not in config["secretAsEnv"][0]
    assert "optional" not in config["configMapAsEnv"][0]
    assert config["secretAsVolume"][0]["optional"] is True


def test_any_pipeline_with_secrets_compiles_for_openshift_ai_2_25() -> None:
    target = CompileTarget(BACKENDS["rhoai-2.25"])
    assert validate_text(compiler.compile_to_yaml(with_secrets, target), target.backend).findings == ()
    assert validate_text(compiler.compile_to_manifests(with_secrets, target), target.backend).findings == ()


LIMITS = RunLimits(deadline=21_600, time_to_live=604_800)
PIPELINE_CONFIG = {"activeDeadlineSeconds": 21_600, "resourceTtlOnCompletion": 604_800}


@pytest.mark.parametrize("pipeline", [with_secrets, bare])
def test_deadline_and_time_to_live_are_written_into_the_platform_spec(pipeline: Any) -> None:
    text = compiler.compile_to_yaml(pipeline, CompileTarget(limits=LIMITS))
    assert platform_of(text)["pipelineConfig"] == PIPELINE_CONFIG
    assert validate_text(text).findings == ()
    plain = compiler.compile_to_yaml(pipeline)
    assert [line for line in plain.splitlines() if line.startswith("#")] == [
        line for line in text.splitlines() if line.startswith("#")
    ]
    assert next(yaml.safe_load_all(plain)) == next(yaml.safe_load_all(text))


@pytest.mark.parametrize("pipeline", [with_secrets, bare])
def test_manifests_have_the_limits_too_and_another_version(pipeline: Any) -> None:
    text = compiler.compile_to_manifests(pipeline, CompileTarget(limits=LIMITS))
    _, version = yaml.safe_load_all(text)
    _, without = yaml.safe_load_all(compiler.compile_to_manifests(pipeline))
    assert version["spec"]["platformSpec"]["platforms"]["kubernetes"]["pipelineConfig"] == PIPELINE_CONFIG
    assert version["metadata"]["name"] != without["metadata"]["name"]


@pytest.mark.parametrize("name", sorted(set(BACKENDS) - WITH_LIMITS))
def test_a_backend_without_limits_is_reported_before_anything_is_compiled(name: str) -> None:
    with pytest.raises(ParameterError, match=r"has no deadline of runs, only rhoai-3\.4, rhoai-3\.5, kfp-2\.17 have"):
        CompileTarget(BACKENDS[name], RunLimits(deadline=60))


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("90m", 5400), ("30min", 1800), ("6h", 21_600), ("7d", 604_800)]
)
def test_limits_are_durations_as_people_write_them(text: str, seconds: int) -> None:
    assert RunLimits.parse(text, text) == RunLimits(seconds, seconds)


@pytest.mark.parametrize(
    ("deadline", "time_to_live", "message"),
    [
        ("soon", "", "the deadline is 'soon'; give one number above 0 with its unit"),
        ("0h", "", "the deadline is '0h'"),
        ("", "99999d", "the time to live is '99999d'"),
        ("", "5s", "the time to live '5s' is too short: .*; give at least 60s"),
    ],
)
def test_a_limit_that_is_no_duration_is_refused(deadline: str, time_to_live: str, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        RunLimits.parse(deadline, time_to_live)


def invoke(*args: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(args))
    return result.exit_code, result.output


def test_compile_and_validate_take_the_same_backend(tmp_path: Path) -> None:
    output = str(tmp_path / "out")
    options = ("--backend", "3.4", "--deadline", "6h", "--output", output)
    assert invoke("compile", "training", *options)[0] == 0
    compiled = str(tmp_path / "out" / "training.yaml")
    assert invoke("compile", "training", "--check", *options)[0] == 0
    assert invoke("validate", "--backend", "rhoai-3.4", compiled)[0] == 0
    code, text = invoke("validate", "--backend", "rhoai-3.3", compiled)
    assert code == 1
    assert "drops the whole platform spec" in text


def test_compile_check_names_the_command_with_its_options(tmp_path: Path) -> None:
    code, text = invoke("compile", "training", "--check", "--backend", "rhoai-2.25", "--output", str(tmp_path))
    assert code == 1
    assert "run `kfp-edge compile --backend rhoai-2.25` and commit" in text


def test_compile_for_openshift_ai_2_25_says_which_secret_has_to_exist(tmp_path: Path) -> None:
    _, text = invoke("compile", "training", "--backend", "rhoai-2.25", "--output", str(tmp_path))
    assert "the Secret of the parameter data_connection has to exist" in text


@pytest.mark.parametrize("command", [("compile",), ("validate", "x.yaml")])
def test_every_command_refuses_an_unknown_backend(command: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*command, "--backend", "rhoai-9"])
    assert isinstance(result.exception, ParameterError)
    assert "there is no backend 'rhoai-9'" in str(result.exception)


def test_a_setting_that_no_backend_heeds_is_a_warning() -> None:
    text = with_platform(pipelineConfig={"resourceTtl": 60})
    report = lint_text(text, backend=BACKENDS["kfp-2.16"])
    assert [problem.finding for problem in report.problems] == [
        Finding(
            "KE016",
            "platforms.kubernetes.pipelineConfig.resourceTtl",
            "no backend does anything about resourceTtl.",
        )
    ]


def test_create_pvc_has_no_image_that_could_be_pinned() -> None:
    @dsl.pipeline(name="volumes")
    def volumes() -> None:
        claim = kubernetes.CreatePVC(
            pvc_name_suffix="-a", access_modes=["ReadWriteOnce"], size="1Gi", storage_class_name="standard"
        )
        kubernetes.DeletePVC(pvc_name=claim.outputs["name"])

    assert [problem.finding for problem in lint_text(compiler.compile_to_yaml(volumes)).problems] == []

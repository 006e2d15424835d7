"""Validation accepts what KFP compiles, and reports every fault with its path."""

import copy
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from kfp import compiler, dsl, kubernetes
from kfp.compiler.compiler_utils import KubernetesManifestOptions

from kfp_edge.rules import LintReport, lint_text
from kfp_edge.spec import Finding, PipelineInfo, ValidationReport, validate_file, validate_text
from kfp_edge.spec.compiling.compiler import compile_to_yaml


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
    """Use every construct of KFP that has its own representation in the spec."""
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


TEXT = compile_to_yaml(every_shape)
SPEC, PLATFORM = yaml.safe_load_all(TEXT)

#: Keys whose value is a map with arbitrary keys, and keys whose value is arbitrary.
MAPS = {"components", "tasks", "parameters", "artifacts", "executors", "platforms"}
ARBITRARY = {"constant", "defaultValue", "metadata"}


def message_paths(value: Any, path: tuple[Any, ...] = (), is_map: bool = False) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every mapping whose keys are fields of a protobuf message."""
    if isinstance(value, dict):
        if not is_map:
            yield path
        for key, item in value.items():
            if is_map or key not in ARBITRARY:
                yield from message_paths(item, (*path, key), is_map=not is_map and key in MAPS)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from message_paths(item, (*path, index))


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from paths(item, (*path, key))


def get_at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def format_path(path: tuple[Any, ...]) -> str:
    return re.sub(r"\.?\[", "[", ".".join(f"[{key}]" if isinstance(key, int) else key for key in path))


def validate_spec(spec: Any, platform: Any = PLATFORM) -> tuple[Finding, ...]:
    return validate_text(yaml.dump_all([spec, platform], Dumper=yaml.CSafeDumper)).findings


def format_finding(finding: Finding) -> str:
    return f"{finding.path}: {finding.message}"


def only_message(text: str | bytes) -> str:
    (finding,) = validate_text(text).findings
    assert finding.path == ""
    return finding.message


def test_a_pipeline_with_every_construct_is_valid_and_summarised() -> None:
    report = validate_text(TEXT)
    assert report.findings == ()
    assert report.pipelines == (PipelineInfo("every-shape", 17, ("example.com/a:1", "example.com/b:2")),)


def test_json_is_accepted() -> None:
    assert validate_text(json.dumps(SPEC)).ok


def test_a_single_component_is_valid() -> None:
    assert validate_text(compile_to_yaml(make)).ok


@settings(max_examples=40, deadline=None)
@given(
    path=st.sampled_from(sorted(message_paths(SPEC), key=str)),
    name=st.from_regex(r"[a-z]{1,5}_[A-Z]{3}", fullmatch=True),
)
def test_any_unknown_field_of_the_spec_is_reported_with_its_path(path: tuple[Any, ...], name: str) -> None:
    spec = copy.deepcopy(SPEC)
    get_at(spec, path)[name] = "anything"
    (finding,) = validate_spec(spec)
    assert finding.path == format_path((*path, name))
    assert "is not a field of" in finding.message


@settings(max_examples=40, deadline=None)
@given(path=st.sampled_from(sorted(message_paths(PLATFORM), key=str)), value=st.sampled_from(["x", 1, [], {}]))
def test_any_unknown_field_of_the_platform_document_is_reported_with_its_path(
    path: tuple[Any, ...], value: object
) -> None:
    platform = copy.deepcopy(PLATFORM)
    get_at(platform, path)["unheardOf"] = value
    (finding,) = validate_spec(SPEC, platform)
    assert finding.path == format_path((*path, "unheardOf"))


@settings(max_examples=40, deadline=None)
@given(name=st.sampled_from(sorted(SPEC["components"])))
def test_a_missing_component_is_reported_where_it_is_used(name: str) -> None:
    spec = copy.deepcopy(SPEC)
    del spec["components"][name]
    findings = validate_spec(spec)
    assert f"there is no component {name!r} in components." in [finding.message for finding in findings]
    assert any(finding.path.endswith(".componentRef.name") for finding in findings)


@settings(max_examples=40, deadline=None)
@given(label=st.sampled_from(sorted(SPEC["deploymentSpec"]["executors"])))
def test_a_missing_executor_is_reported_where_it_is_used(label: str) -> None:
    spec = copy.deepcopy(SPEC)
    del spec["deploymentSpec"]["executors"][label]
    messages = [finding.message for finding in validate_spec(spec)]
    assert f"there is no executor {label!r} in deploymentSpec.executors." in messages


@settings(max_examples=40, deadline=None)
@given(
    path=st.sampled_from(sorted(filter(None, paths(SPEC)), key=str)),
    wrong_value=st.sampled_from([None, True, 7, 1.5, "text", [], ["x"], [[]], {}, {"a": "b"}, {1: 2}]),
)
def test_no_value_in_the_wrong_place_makes_validation_crash(path: tuple[Any, ...], wrong_value: object) -> None:
    spec = copy.deepcopy(SPEC)
    get_at(spec, path[:-1])[path[-1]] = wrong_value
    text = yaml.dump_all([spec, PLATFORM], Dumper=yaml.CSafeDumper)
    assert isinstance(validate_text(text), ValidationReport)
    assert isinstance(lint_text(text), LintReport)


@settings(max_examples=40, deadline=None)
@given(st.one_of(st.binary(max_size=60), st.text(max_size=60)))
def test_arbitrary_text_gets_a_report(text: str | bytes) -> None:
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
        (
            "components.comp-make-2.dag",
            {},
            "components.comp-make-2.executorLabel: cannot be set together with dag; choose one",
        ),
        ("schemaVersion", "2.0.0", "schemaVersion: must be 2.1.0, the one a backend accepts; it is 2.0.0"),
        ("pipelineInfo", {}, "pipelineInfo.name: must be lower-case letters a to z, digits and dashes"),
        ("root", None, "root: is missing"),
        ("deploymentSpec.executors.exec-make", {}, "deploymentSpec.executors.exec-make: has nothing to run"),
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
def test_a_fault_is_reported_with_its_path(path: str, value: object, finding: str) -> None:
    spec = copy.deepcopy(SPEC)
    *parents, last = path.split(".")
    get_at(spec, tuple(parents))[last] = value
    assert any(format_finding(reported).startswith(finding) for reported in validate_spec(spec))


def test_every_unknown_field_is_reported_and_not_only_the_first() -> None:
    spec = copy.deepcopy(SPEC)
    spec["rooot"] = {}
    spec["pipelineInfo"]["nmae"] = "x"
    assert sorted(map(format_finding, validate_spec(spec))) == [
        "pipelineInfo.nmae: is not a field of PipelineInfo; did you mean name? The server refuses the upload.",
        "rooot: is not a field of PipelineSpec; did you mean root? The server refuses the upload.",
    ]


def test_a_key_that_is_not_a_plain_word_is_quoted_in_the_path() -> None:
    spec = copy.deepcopy(SPEC)
    spec["components"]["a.b"] = {"executorLabel": "exec-make", "x y": 1}
    assert [finding.path for finding in validate_spec(spec)] == ['components["a.b"]["x y"]']


def test_a_task_that_waits_for_itself_is_reported() -> None:
    spec = copy.deepcopy(SPEC)
    spec["root"]["dag"]["tasks"]["importer"]["dependentTasks"] = ["use"]
    spec["root"]["dag"]["tasks"]["use"]["dependentTasks"] = ["importer"]
    (finding,) = validate_spec(spec)
    assert "waits for itself: " in finding.message
    assert finding.path in {"root.dag.tasks.use", "root.dag.tasks.importer"}


def test_a_component_that_contains_itself_is_reported() -> None:
    spec = copy.deepcopy(SPEC)
    spec["components"]["comp-inner"]["dag"]["tasks"]["again"] = {
        "componentRef": {"name": "comp-inner"},
        "inputs": {"parameters": {"count": {"componentInputParameter": "count"}}},
    }
    assert list(map(format_finding, validate_spec(spec))) == [
        "components.comp-inner: contains itself: comp-inner -> comp-inner; a run would never end, so remove the task "
        "that closes the circle."
    ]


def test_a_platform_executor_that_the_pipeline_lacks_is_reported() -> None:
    platform = copy.deepcopy(PLATFORM)
    platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["gone"] = {}
    (finding,) = validate_spec(SPEC, platform)
    assert finding.path == "platforms.kubernetes.deploymentSpec.executors.gone"


def native_manifests(tmp_path: Path) -> list[Any]:
    path = tmp_path / "native.yaml"
    options = KubernetesManifestOptions(pipeline_name="every-shape", include_pipeline_manifest=True)
    compiler.Compiler().compile(
        every_shape, str(path), kubernetes_manifest_format=True, kubernetes_manifest_options=options
    )
    return list(yaml.safe_load_all(path.read_text()))


def test_kubernetes_native_manifests_are_valid(tmp_path: Path) -> None:
    report = validate_text(yaml.safe_dump_all(native_manifests(tmp_path)))
    assert report.findings == ()
    assert [pipeline.name for pipeline in report.pipelines] == ["every-shape"]


@pytest.mark.parametrize("part", ["pipelineSpec", "platformSpec"])
def test_a_fault_in_a_kubernetes_native_manifest_has_its_path_in_the_manifest(tmp_path: Path, part: str) -> None:
    pipeline, version = native_manifests(tmp_path)
    version["spec"][part]["unheardOf"] = 1
    alone = validate_text(yaml.safe_dump(version)).findings
    both = validate_text(yaml.safe_dump_all([pipeline, version])).findings
    assert [finding.path for finding in alone] == [f"spec.{part}.unheardOf"]
    assert [finding.path for finding in both] == [f"documents[2].spec.{part}.unheardOf"]


@pytest.mark.parametrize(
    ("change", "path", "message"),
    [
        (
            lambda pipeline, _: pipeline["metadata"].update(name="Every_Shape"),
            "documents[1].metadata.name",
            "no name of a Kubernetes object",
        ),
        (
            lambda _, version: version.pop("metadata"),
            "documents[2].metadata.name",
            "is missing; write lower-case letters",
        ),
        (
            lambda _, version: version["spec"].pop("pipelineName"),
            "documents[2].spec.pipelineName",
            "is missing; name the Pipeline",
        ),
        (
            lambda _, version: version["spec"].update(pipelineName="other"),
            "documents[2].spec.pipelineName",
            "is other, and the Pipeline in this file is every-shape; the cluster refuses it.",
        ),
    ],
)
def test_manifests_that_a_cluster_refuses_are_reported(
    tmp_path: Path, change: Callable[[Any, Any], object], path: str, message: str
) -> None:
    pipeline, version = native_manifests(tmp_path)
    change(pipeline, version)
    findings = validate_text(yaml.safe_dump_all([pipeline, version])).findings
    assert any(finding.path == path and message in finding.message for finding in findings)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file holds no document"),
        ("a: [1", "not valid YAML: line 1, column 6: "),
        ("root:\n  dag: {}\n  dag: {}\n", "not valid YAML: line 3, column 3: the key 'dag' is given twice"),
        (b"\xff\xfe\xff", "not valid YAML: "),
        ("- a\n- b\n", "document 1 is not a mapping"),
        ("root: {}\ndeploymentSpec: &a\n  b: *a\n", "nested too deeply, or a YAML alias in it refers to itself"),
        pytest.param("[" * 5000, "nested too deeply", id="too deep"),
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
def test_a_file_that_is_not_a_kfp_v2_pipeline_gets_one_message(text: str | bytes, message: str) -> None:
    assert message in only_message(text)


def test_a_file_that_cannot_be_read_gets_one_message(tmp_path: Path) -> None:
    report = validate_file(tmp_path / "missing.yaml")
    assert report.findings == (Finding("KE100", "", "cannot read the file: No such file or directory."),)

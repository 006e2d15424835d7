"""Texts, arguments and Workflows that a backend cannot take are refused, and their neighbours are not."""

from collections.abc import Callable
from typing import Any

import pytest

from kfp_edge.spec import validate_text
from kfp_edge.spec.pipeline_file import PipelineDocument
from kfp_edge.spec.workflow.problems import find_problems
from support.workflows import dump_pipeline, make_loop, make_pipeline


def findings(pipeline: PipelineDocument) -> list[tuple[str, str]]:
    return [(each.code, each.path) for each in validate_text(dump_pipeline(pipeline)).findings]


def changed(change: Callable[[dict[str, Any]], object]) -> PipelineDocument:
    pipeline = make_pipeline(1, 100)
    change(pipeline.spec)
    return pipeline


def container(spec: dict[str, Any]) -> dict[str, Any]:
    return spec["deploymentSpec"]["executors"]["exec-work-0"]["container"]


def parameter(spec: dict[str, Any]) -> dict[str, Any]:
    return spec["root"]["inputDefinitions"]["parameters"]["text"]


def constant(spec: dict[str, Any], text: str) -> None:
    spec["root"]["dag"]["tasks"]["work-0"]["inputs"]["parameters"]["text"] = {"runtimeValue": {"constant": text}}


CONTAINER = "deploymentSpec.executors.exec-work-0.container"


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (lambda spec: container(spec).update(command=["python", "-c", "'{{ item.name }}'"]), CONTAINER),
        (lambda spec: container(spec).update(env=[{"name": "A", "value": "{{tasks.a.b}}"}]), CONTAINER),
        (lambda spec: parameter(spec).update(defaultValue="{{inputs.x}}"), "root"),
        (lambda spec: parameter(spec).update(description="{{inputs.x}}"), "root"),
        (lambda spec: constant(spec, "{{workflow.nope}}"), "root.dag.tasks.work-0"),
    ],
)
def test_a_template_that_argo_cannot_resolve_is_refused_wherever_it_stands(
    change: Callable[[dict[str, Any]], object], path: str
) -> None:
    assert ("KE106", path) in findings(changed(change))


@pytest.mark.parametrize(
    "change",
    [
        lambda spec: container(spec).update(command=["python", "-c", "'{{ name }}'"]),
        lambda spec: container(spec).update(args=["{{$.inputs.parameters['text']}}"]),
        lambda spec: spec["pipelineInfo"].update(description="{{inputs.x}}"),
        lambda spec: spec["deploymentSpec"]["executors"].update(
            {"exec-unused": {"container": {"image": "a", "args": ["{{inputs.x}}"]}}}
        ),
    ],
)
def test_text_that_does_not_reach_argo_or_is_no_variable_is_valid(change: Callable[[dict[str, Any]], object]) -> None:
    assert findings(changed(change)) == []


@pytest.mark.parametrize(
    ("value", "ok"), [("a {{ b", False), ("a {{ b }}", True), ("{{ a }} {{", False), ("a }}", True)]
)
def test_an_annotation_with_an_open_template_is_refused(value: str, ok: bool) -> None:
    config = {"podMetadata": {"annotations": {"note": value}}}
    platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {"exec-work-0": config}}}}}
    text = dump_pipeline(make_pipeline(1, 100)) + "---\n" + dump_pipeline(PipelineDocument(platform, ""))
    assert [each.code for each in validate_text(text).findings] == ([] if ok else ["KE106"])


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (lambda spec: container(spec).update(command=["sh", "a" * 140_000]), CONTAINER),
        (lambda spec: container(spec).update(command=["sh", "<" * 30_000]), CONTAINER),
        (lambda spec: constant(spec, "a" * 140_000), "root.dag.tasks.work-0"),
        # the pod gets the value with the addresses of the outputs
        (lambda spec: constant(spec, "a" * 130_850), "root.dag.tasks.work-0"),
        (lambda spec: parameter(spec).update(defaultValue="a" * 140_000), "root"),
    ],
)
def test_an_argument_longer_than_128_kib_is_refused_once(change: Callable[[dict[str, Any]], object], path: str) -> None:
    assert findings(changed(change)) == [("KE107", path)]


@pytest.mark.parametrize(
    "change",
    [
        lambda spec: container(spec).update(command=["sh", "a" * 125_000]),
        lambda spec: constant(spec, "a" * 125_000),
        lambda spec: parameter(spec).update(defaultValue="a" * 125_000),
    ],
)
def test_shorter_arguments_are_valid(change: Callable[[dict[str, Any]], object]) -> None:
    assert findings(changed(change)) == []


@pytest.mark.parametrize(
    ("pipeline", "message"),
    [
        (make_pipeline(20, 70_000), "Kubernetes stores at most 1536 KiB. The server refuses to start a run"),
        (make_pipeline(11, 70_000), "Argo Workflows takes at most 1024 KiB. The run ends with an error"),
        (make_loop(900, 4_000), "with the 900 iterations of loop, and Argo Workflows takes at most 1024 KiB"),
    ],
    ids=["etcd", "argo", "loop"],
)
def test_a_pipeline_whose_workflow_is_certainly_too_large_is_refused(pipeline: PipelineDocument, message: str) -> None:
    (finding,) = find_problems(pipeline)
    assert finding.code == "KE108"
    assert message in finding.message


@pytest.mark.parametrize("pipeline", [make_pipeline(8, 40_000), make_loop(20, 4_000)], ids=["tasks", "loop"])
def test_a_large_pipeline_below_the_limit_is_valid(pipeline: PipelineDocument) -> None:
    assert list(find_problems(pipeline)) == []

"""The size of a Workflow is estimated as a real server and Argo made it (KFP 2.16.1, Argo 3.7.8)."""

import pytest

from kfp_edge.spec.pipeline_file import PipelineDocument
from kfp_edge.spec.workflow.size import WorkflowSize
from kfp_edge.spec.workflow.texts import WorkflowTexts
from support.workflows import make_loop, make_pipeline

#: Pipeline: bytes of the Workflow that the server created, and of its nodes at the end of the run.
MEASURED = {
    "three-tasks-with-retries": (make_pipeline(3, 20_000, retry=True), 109_860, 508_910),
    "six-equal-tasks": (make_pipeline(6, 3_000, equal=True), 20_626, 163_657),
    "five-iterations": (make_loop(5, 8_000), 25_306, 314_960),
    "many-tasks": (make_pipeline(56, 9_000, retry=True), 912_412, None),
    "more-than-etcd-stores": (make_pipeline(12, 95_000), 1_824_772, None),
}


def size_of(pipeline: PipelineDocument, **arguments: object) -> WorkflowSize:
    return WorkflowSize(WorkflowTexts(pipeline, arguments))


@pytest.mark.parametrize("name", MEASURED)
def test_the_specification_is_as_large_as_the_server_made_it(name: str) -> None:
    pipeline, specification, _ = MEASURED[name]
    assert size_of(pipeline).specification == pytest.approx(specification, rel=0.03)


@pytest.mark.parametrize("name", [name for name, measured in MEASURED.items() if measured[2]])
def test_the_nodes_are_as_large_as_at_the_end_of_the_run(name: str) -> None:
    pipeline, _, nodes = MEASURED[name]
    assert size_of(pipeline).nodes == pytest.approx(nodes, rel=0.07)


def test_compression_makes_the_nodes_smaller_and_not_the_specification() -> None:
    large = size_of(make_pipeline(20, 20_000))
    assert large.specification < large.compressed < large.whole


def test_a_loop_counts_for_each_item() -> None:
    assert size_of(make_loop(20, 1_000)).nodes > 3 * size_of(make_loop(5, 1_000)).nodes


def test_a_loop_over_a_parameter_has_the_items_of_the_run() -> None:
    pipeline = make_loop(1, 1_000)
    root = pipeline.spec["root"]
    root["inputDefinitions"]["parameters"]["items"] = {"parameterType": "LIST", "defaultValue": [1, 2, 3]}
    task = root["dag"]["tasks"]["loop"]
    task["parameterIterator"]["items"] = {"inputParameter": "items"}
    task["inputs"] = {"parameters": {"items": {"componentInputParameter": "items"}}}

    def iterations(**arguments: object) -> int | None:
        loop = size_of(pipeline, **arguments).largest_loop
        return None if loop is None else loop.iterations

    assert iterations() == 3
    assert iterations(items=list(range(40))) == 40


def test_what_a_condition_decides_is_not_certain() -> None:
    pipeline = make_pipeline(20, 20_000)
    certain = size_of(pipeline).least
    for task in pipeline.spec["root"]["dag"]["tasks"].values():
        task["triggerPolicy"] = {"condition": "inputs.parameter_values['text'] == 'x'"}
    assert size_of(pipeline).least < certain - 50_000

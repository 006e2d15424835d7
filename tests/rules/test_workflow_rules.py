"""The rules on the size of a Workflow and on texts that change on the way."""

import pytest

from kfp_edge.rules.context import build_lint_context
from kfp_edge.rules.workflow_rules import check_workflow
from kfp_edge.spec.pipeline_file import PipelineDocument
from support.pipelines import EXECUTOR, container, lint_changed, problem_lines, task
from support.workflows import make_loop, make_pipeline

PATH = EXECUTOR


def workflow_lines(pipeline: PipelineDocument) -> list[str]:
    findings = check_workflow(build_lint_context(pipeline))
    return [f"{finding.code} {finding.path}: {finding.message}" for finding in findings]


def test_a_run_near_the_limit_of_argo_is_reported() -> None:
    (line,) = workflow_lines(make_pipeline(44, 8_500))
    assert line.startswith("KE020 : the Workflow of a run grows to about ")
    assert "and Argo Workflows ends runs with more than 1024 KiB; " in line


def test_a_run_that_cannot_be_retried_is_reported() -> None:
    (line,) = workflow_lines(make_pipeline(6, 45_000, retry=True))
    assert line.startswith("KE020 : the Workflow of a run has about ")
    assert "and a server retries none with more than 1536 KiB; " in line


def test_a_large_loop_is_named() -> None:
    (line,) = workflow_lines(make_loop(60, 5_000))
    assert line.startswith("KE020 root.dag.tasks.loop: ")
    assert " with the 60 iterations of loop" in line


@pytest.mark.parametrize("pipeline", [make_pipeline(10, 5_000), make_loop(10, 2_000)], ids=["tasks", "loop"])
def test_a_usual_pipeline_is_not_reported(pipeline: PipelineDocument) -> None:
    assert workflow_lines(pipeline) == []


def test_text_that_argo_replaces_is_reported() -> None:
    report = lint_changed(lambda spec, _: container(spec).update(args=["{{workflow.name}}"]))
    assert problem_lines(report) == [
        f"KE021 {PATH}: the container of comp-work contains '{{{{workflow.name}}}}', which Argo replaces."
    ]


def test_a_character_beyond_the_database_is_reported() -> None:
    report = lint_changed(lambda spec, _: container(spec).update(args=["go \U0001f680"]))
    (line,) = problem_lines(report)
    assert line.startswith(f"KE022 {PATH}: the container of comp-work contains '\U0001f680' (U+1F680)")


@pytest.mark.parametrize("text", ["grün ✓ 日本", "{{ name }}", "{{$.inputs.parameters['text']}}"])
def test_other_text_is_not_reported(text: str) -> None:
    assert problem_lines(lint_changed(lambda spec, _: container(spec).update(args=[text]))) == []


def test_a_character_in_the_description_of_the_pipeline_is_stored_elsewhere() -> None:
    assert problem_lines(lint_changed(lambda spec, _: spec["pipelineInfo"].update(description="\U0001f680"))) == []
    report = lint_changed(lambda spec, _: task(spec)["taskInfo"].update(name="\U0001f680"))
    assert [line.split(":")[0] for line in problem_lines(report)] == ["KE022 root", "KE022 root.dag.tasks.work"]

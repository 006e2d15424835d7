"""Rules on the Workflow that a backend makes of a pipeline: its size, and texts that change on the way."""

from collections.abc import Iterator

from kfp_edge.rules.context import LintContext
from kfp_edge.spec.validation.lint_findings import Finding
from kfp_edge.spec.workflow.problems import find_warnings
from kfp_edge.spec.workflow.templates import find_replaced
from kfp_edge.spec.workflow.texts import WorkflowTexts


def check_workflow(context: LintContext) -> Iterator[Finding]:
    """Find pipelines whose runs may be too large or cannot be stored, with the defaults of the parameters."""
    yield from find_warnings(context.pipeline, {})


def check_replaced_text(context: LintContext) -> Iterator[Finding]:
    """Find texts that Argo replaces by something else."""
    for each in WorkflowTexts(context.pipeline, None).driver_arguments:
        if template := find_replaced(each.text):
            yield Finding("KE021", each.path, f"{each.description} contains {template!r}, which Argo replaces.")

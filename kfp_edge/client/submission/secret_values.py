"""Secrets in a pipeline that would be uploaded, and shown to everyone who can see it."""

from pathlib import Path

from kfp_edge.errors import PipelineError
from kfp_edge.rules.context import build_lint_context
from kfp_edge.rules.lint import lint_text
from kfp_edge.rules.secret_rules import check_secret_values
from kfp_edge.spec.backends.profiles import Backend
from kfp_edge.spec.compiled_pipeline import PipelineLike, is_pipeline_file
from kfp_edge.spec.pipeline_file import PipelineDocument
from kfp_edge.spec.validation.lint_findings import Finding

_CODE = "KE006"


def refuse_secret_values(pipeline: PipelineLike, document: PipelineDocument, backend: Backend) -> None:
    """Refuse a pipeline with a secret in it, unless a comment in its file allows that (KE006).

    The other rules do not keep a pipeline from being submitted: what they find can be changed afterwards, while a
    secret that was uploaded is known.

    Args:
        pipeline: What the user gives; comments are in a file.
        document: The same pipeline, which a backend would take.
        backend: The backend that it is for.

    Raises:
        PipelineError: with the place of the first secret, and the number of all.
    """
    findings = list(check_secret_values(build_lint_context(document)))
    if findings and is_pipeline_file(pipeline):
        findings = _find_not_allowed(Path(pipeline), backend)
    if findings:
        others = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
        raise PipelineError(
            f"the pipeline is not uploaded, where everyone who sees it would see a secret: {findings[0].path} "
            f"{findings[0].message.rstrip('.')}{others}; store it in a Secret and mount that. If it is none, write "
            f"`# kfp-edge: ignore {_CODE} because REASON` into the compiled file."
        )


def _find_not_allowed(file: Path, backend: Backend) -> list[Finding]:
    return [
        problem.finding
        for problem in lint_text(file.read_bytes(), backend=backend).problems
        if problem.finding.code == _CODE and not problem.suppression_reason
    ]

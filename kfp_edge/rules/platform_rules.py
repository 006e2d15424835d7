"""Rules on the settings of a pipeline for Kubernetes."""

from collections.abc import Iterator

from kfp_edge.rules.context import LintContext
from kfp_edge.spec.backends.profiles import find_fact
from kfp_edge.spec.validation.lint_findings import Finding
from kfp_edge.spec.validation.validate import get_pipeline_config


def check_settings_without_effect(context: LintContext) -> Iterator[Finding]:
    """Find settings that backends take and do nothing about."""
    for key, path in get_pipeline_config(context.pipeline).items():
        fact = find_fact("PipelineConfig", key)
        if fact is not None and not fact.effect:
            yield Finding("KE016", path, f"no backend does anything about {key}.")

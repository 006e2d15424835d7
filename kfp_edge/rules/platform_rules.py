"""Rules on the settings of a pipeline for Kubernetes."""

from collections.abc import Iterator

from kfp_edge.rules.context import LintContext
from kfp_edge.spec.backends.profiles import IGNORED_EXECUTOR_FIELDS, find_fact
from kfp_edge.spec.validation.document_parts import get_pipeline_config
from kfp_edge.spec.validation.lint_findings import Finding, join_path


def check_settings_without_effect(context: LintContext) -> Iterator[Finding]:
    """Find settings that backends take and do nothing about."""
    for key, path in get_pipeline_config(context.pipeline).items():
        fact = find_fact("PipelineConfig", key)
        if fact is not None and not fact.effect:
            yield Finding("KE016", path, f"no backend does anything about {key}.")


def check_executor_settings_without_effect(context: LintContext) -> Iterator[Finding]:
    """Find settings of a task's pod that backends take and do nothing about."""
    for container in context.containers:
        fields = {field.json_name for field, _ in container.platform.ListFields()}
        for key in IGNORED_EXECUTOR_FIELDS:
            if key in fields:
                path = join_path(container.platform_path, key)
                yield Finding("KE016", path, f"no backend does anything about {key}; remove it.")
        if container.platform.active_deadline_seconds < 0:
            path = join_path(container.platform_path, "activeDeadlineSeconds")
            message = "a time below zero limits nothing; write seconds above zero, or remove it."
            yield Finding("KE016", path, message)
        accelerator = container.spec.resources.accelerator
        has_count = bool(accelerator.resource_count) or accelerator.count > 0
        if has_count != bool(accelerator.resource_type or accelerator.type):
            path = join_path(container.path, "resources", "accelerator")
            missing = "the name of the resource (set_accelerator_type)" if has_count else "a number above zero"
            yield Finding("KE016", path, f"the task gets no accelerator without {missing}; add it.")

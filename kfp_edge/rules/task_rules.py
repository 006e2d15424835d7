"""Rules on tasks: side effects, retries, conditions."""

import re
from collections.abc import Iterator

from kfp_edge.rules.condition_syntax import find_syntax_fault
from kfp_edge.rules.context import ContainerContext, LintContext
from kfp_edge.spec.validation.lint_findings import Finding, join_path

#: A pod with this annotation has a side effect; the value says which one.
SIDE_EFFECT = "kfp-edge.io/side-effect"
#: The stages of kfp-edge that have one. A test keeps the list complete.
STAGES_WITH_SIDE_EFFECT = (
    "claim_retraining",
    "clean_up",
    "containerize",
    "gitops_commit",
    "promote",
    "release",
    "rollback",
    "staging_test",
)

_STAGE = re.compile(rf"\bfrom kfp_edge\.components\.(?:{'|'.join(STAGES_WITH_SIDE_EFFECT)})\b")
#: Options between a command and its verb, each perhaps with a value.
_OPTIONS = r"(?:-\S+ +(?:[^-\s]\S* +)?)*"
_SIDE_EFFECTS = (
    re.compile(rf"\bgit +{_OPTIONS}push\b"),
    re.compile(r"\b(?:docker|podman|buildah) +push\b|\bskopeo +(?:copy|delete|sync)\b|\bcosign +(?:sign|attest)\b"),
    re.compile(
        rf"\b(?:kubectl|oc) +{_OPTIONS}"
        r"(?:apply|create|delete|patch|replace|scale|set|label|annotate|rollout|new-app|start-build)\b"
    ),
    re.compile(r"\bhelm +(?:install|upgrade|uninstall|rollback)\b|\bargocd +app +(?:create|sync|set|delete)\b"),
    re.compile(r"\.(?:create|patch|replace|delete)_(?:namespaced|cluster)_\w+\("),
    re.compile(r"\.(?:put_object|upload_file|upload_fileobj)\(|\brequests\.(?:post|put|patch|delete)\("),
)


def check_caching(context: LintContext) -> Iterator[Finding]:
    """Find tasks with a side effect that a cached result would skip."""
    for task in context.tasks:
        if task.container is None or not task.spec.caching_options.enable_cache:
            continue
        path = join_path(task.path, "cachingOptions", "enableCache")
        if declared := _declared_side_effect(task.container):
            yield Finding("KE005", path, f"caching is on, but the task {declared}.")
        elif command := task.container.find_command(*_SIDE_EFFECTS):
            yield Finding("KE013", path, f"caching is on, but the task runs `{command.text.strip('.(')}`.")


def _declared_side_effect(container: ContainerContext) -> str:
    """Return how a container declares a side effect; empty if it does not."""
    annotations = container.platform.pod_metadata.annotations
    if SIDE_EFFECT in annotations:
        return f"has the annotation {SIDE_EFFECT}: {annotations[SIDE_EFFECT]}"
    if command := container.find_command(_STAGE):
        return f"is the stage {command.text.rpartition('.')[2]}, which has a side effect"
    return ""


def check_retries(context: LintContext) -> Iterator[Finding]:
    """Find retries without a backoff."""
    for task in context.tasks:
        policy = task.spec.retry_policy
        backoff = policy.backoff_duration
        if policy.max_retry_count > 0 and not backoff.seconds and not backoff.nanos:
            path = join_path(task.path, "retryPolicy")
            yield Finding("KE008", path, f"{policy.max_retry_count} retries without a pause.")


def check_retries_that_never_happen(context: LintContext) -> Iterator[Finding]:
    """Find retry policies with which Argo ends a task at its first failure."""
    for task in context.tasks:
        policy = task.spec.retry_policy
        if policy.max_retry_count <= 0:
            continue
        path = join_path(task.path, "retryPolicy")
        longest, pause = policy.backoff_max_duration.seconds, policy.backoff_duration.seconds
        if policy.backoff_factor % 1:
            message = (
                f"is {policy.backoff_factor:g}, and Argo takes whole numbers; write {round(policy.backoff_factor)}."
            )
            yield Finding("KE017", join_path(path, "backoffFactor"), message)
        elif longest <= 0:
            message = "has no backoffMaxDuration, the time in which retries may start; write one, such as 3600s."
            yield Finding("KE017", path, message)
        elif pause >= longest:
            message = (
                f"is {longest} s, and the pause of {pause} s is no shorter; write a longer time, or a shorter pause."
            )
            yield Finding("KE017", join_path(path, "backoffMaxDuration"), message)


def check_conditions(context: LintContext) -> Iterator[Finding]:
    """Find conditions that no backend can parse."""
    for task in context.tasks:
        condition, path = task.spec.trigger_policy.condition, join_path(task.path, "triggerPolicy", "condition")
        if condition and (fault := find_syntax_fault(condition)):
            message = (
                f"cannot be evaluated from `{fault:.60}` on, and the run fails when it reaches the task; compare with "
                "a text that contains no quote, or correct the expression."
            )
            yield Finding("KE012", path, message)

"""Rules on what tasks do: effects on the world outside, retries, conditions."""

import re
from collections.abc import Iterator

from kfp.pipeline_spec import pipeline_spec_pb2

from kfp_edge.rules.context import ContainerContext, LintContext
from kfp_edge.spec.fields import Finding, at

#: A pod with this annotation changes the world outside; the value says what it changes.
SIDE_EFFECT = "kfp-edge.io/side-effect"
#: Our own stages that do. A test keeps the list complete.
STAGES_WITH_EFFECT = ("clean_up", "containerize", "gitops_commit", "release", "staging_test")

_STAGE = re.compile(rf"\bfrom kfp_edge\.components\.(?:{'|'.join(STAGES_WITH_EFFECT)})\b")
#: Options between a command and its verb, each with a value perhaps.
_OPTIONS = r"(?:-\S+ +(?:[^-\s]\S* +)?)*"
_EFFECTS = (
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

_INPUT = r"inputs\.parameter_values\['([^']+)'\]"
_TEXT = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
#: A text with no operator to its left or right, or a quote without its other half: KFP does not escape.
_TORN = re.compile(r"\0\s*(?!in\b)[\w\0]|\w\s*\0|['\"]")


def caching(subject: LintContext) -> Iterator[Finding]:
    """Find tasks that change the world outside, and would not a second time."""
    for task in subject.tasks:
        if task.container is None or not task.spec.caching_options.enable_cache:
            continue
        place = at(task.path, "cachingOptions", "enableCache")
        if declared := _declared(task.container):
            yield Finding("KE005", place, f"caching is on, but the task {declared}.")
        elif said := task.container.runs(*_EFFECTS):
            yield Finding("KE013", place, f"caching is on, but the task runs `{said.text.strip('.(')}`.")


def _declared(container: ContainerContext) -> str:
    """Return what says that a container changes the world outside; empty if nothing does."""
    annotations = container.platform.pod_metadata.annotations
    if SIDE_EFFECT in annotations:
        return f"has the annotation {SIDE_EFFECT}: {annotations[SIDE_EFFECT]}"
    if said := container.runs(_STAGE):
        return f"is the stage {said.text.rpartition('.')[2]}, which changes the world outside"
    return ""


def retries(subject: LintContext) -> Iterator[Finding]:
    """Find retries that follow each other at once."""
    for task in subject.tasks:
        policy = task.spec.retry_policy
        pause = policy.backoff_duration
        if policy.max_retry_count and not pause.seconds and not pause.nanos:
            yield Finding("KE008", at(task.path, "retryPolicy"), f"{policy.max_retry_count} retries without a pause.")


def conditions(subject: LintContext) -> Iterator[Finding]:
    """Find conditions that no backend can read, and those that a quote in a value breaks on a laptop."""
    text = pipeline_spec_pb2.ParameterType.STRING
    for task in subject.tasks:
        condition, place = task.spec.trigger_policy.condition, at(task.path, "triggerPolicy", "condition")
        if _TORN.search(re.sub(_TEXT, "\0", re.sub(_INPUT, "input", condition))):
            yield Finding("KE012", place, "a text in the condition holds a quote, which ends the text too early.")
            continue
        for name in re.findall(_INPUT, condition):
            if task.component.input_definitions.parameters[name].parameter_type == text:
                shown = name.removeprefix("pipelinechannel--")
                yield Finding("KE011", place, f"{shown!r} is a text; if it holds a quote, kfp.local runs no branch.")
                break

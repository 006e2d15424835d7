"""Why a TaskRun waits or failed, in one sentence that says what to do."""

import re
from collections.abc import Callable

from kfp_edge.components.containerize.build_options import BuildOptions
from kfp_edge.components.containerize.pod_state import PodState
from kfp_edge.components.containerize.step_failures import BROKEN_REASONS, describe_step
from kfp_edge.kubernetes.objects import KubernetesObject
from kfp_edge.kubernetes.pods import (
    StartProblem,
    describe_deletion,
    describe_failed_init_container,
    describe_pod_failure,
    describe_pull_secrets,
    find_failed_init_container,
    find_start_problem,
    is_deleted,
    join_reason,
    to_one_line,
)
from kfp_edge.kubernetes.refusals import explain_refusal

#: Reasons of Tekton (`pkg/apis/pipeline/v1/taskrun_types.go`, `pkg/pod/status.go`) that are no reason to wait.
_RUNNING = ("", "Started", "Running")

_NO_IMAGE = (
    "cannot pull the image {options.builder_image}: {message}{warning}; check build_options' builder_image and "
    "pull_secret, or the pull secrets of the service account {options.service_account}."
)
# What the kubelet says is quoted by Tekton after this.
_QUOTED = "The pod errored with the message: "
_INVALID = "is refused by Tekton: {message}; check that OpenShift Pipelines is of a version with tekton.dev/v1."

_ACCOUNT_MISSING = (
    "could not get its pod: there is no service account {options.service_account} in this namespace; create it "
    "(deploy/openshift/README.md), or name another in build_options' service_account."
)
_NOT_ADMITTED = (
    "could not get its pod: {message}; check that the service account {options.service_account} may use the SCC that "
    "Buildah needs (deploy/openshift/README.md)."
)
# What Tekton puts around the API server's refusal of the pod.
_REFUSAL = re.compile(r'^failed to create task run pod "[^"]*": (?P<message>.*?)(?:\. Maybe invalid TaskSpec)?$')

# Reasons of Tekton for a failure that is not a step's.
_REASONS = {
    "TaskRunTimeout": "did not end within {options.timeout} s{waiting}; raise build_options' timeout.",
    "TaskRunCancelled": "was cancelled by someone else: {message}; run again.",
    "CreateContainerConfigError": "has a container that cannot be configured: {message}{waiting}; run again.",
    "TaskRunValidationFailed": _INVALID,
    "TaskValidationFailed": _INVALID,
    "TaskRunResolutionFailed": _INVALID,
    "InvalidParamValue": _INVALID,
    "ResourceVerificationFailed": _INVALID,
}
_NO_IMAGE_REASONS = ("TaskRunImagePullFailed", "PullImageFailed")
_OVER_QUOTA = "ExceededResourceQuota"
_NO_POD = ("PodCreationFailed", "PodAdmissionFailed")

_PULL_REASONS = ("ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName")

# What cannot be waited for (parts of the reason), and what to do; the last one fits every reason.
_START_REMEDIES = (
    (_PULL_REASONS, "check that image, and name the Secret with its login in build_options' pull_secret"),
    (("ResourceQuota",), "lower build_options' cpu and memory, or have the quota raised"),
    (("not found",), "create what is missing in this namespace, and run again"),
    (("",), "`oc describe pod {pod}` shows more"),
)


def get_condition(run: KubernetesObject) -> dict[str, str]:
    """Return the condition `Succeeded` of a TaskRun; empty as long as Tekton has not taken it up."""
    for condition in run.get("status", {}).get("conditions", []):
        if condition["type"] == "Succeeded":
            return {key: condition.get(key, "") for key in ("status", "reason", "message")}
    return {}


def has_ended(run: KubernetesObject) -> bool:
    """Whether a TaskRun has succeeded or failed."""
    return get_condition(run).get("status") in ("True", "False")


def is_running(run: KubernetesObject) -> bool:
    """Whether Tekton has taken up a TaskRun and reports nothing that it waits for."""
    condition = get_condition(run)
    return bool(condition) and condition["reason"] in _RUNNING


def has_broken_step(run: KubernetesObject) -> bool:
    """Whether a step of a TaskRun was ended by the node or never started, which Tekton reports only at the timeout."""
    steps = run.get("status", {}).get("steps", [])
    return any(step.get("terminated", {}).get("reason") in BROKEN_REASONS for step in steps)


def describe_waiting(run: KubernetesObject, state: PodState) -> StartProblem:
    """Return why a TaskRun has not started its steps, by its pod, else by its own status; no reason when it has."""
    condition = get_condition(run)
    if not condition:
        return StartProblem("no Tekton controller has taken it up (is OpenShift Pipelines installed and running?)")
    if is_running(run):
        return StartProblem("")
    if condition["reason"] == _OVER_QUOTA:
        refusal = explain_refusal(condition["message"])
        return StartProblem(refusal.reason, refusal.is_permanent)
    if state.pod is None:
        return StartProblem(join_reason(condition))
    if problem := find_start_problem(state.pod, state.events):
        return problem
    is_on_node = state.pod.get("status", {}).get("containerStatuses")
    return StartProblem("its containers are being created" if is_on_node else join_reason(condition))


def describe_start_failure(run: KubernetesObject, state: PodState, reason: str, options: BuildOptions) -> str:
    """Return that a TaskRun waits in vain for what `describe_waiting` returned, as the rest of a sentence about it."""
    if reason.startswith(_PULL_REASONS):  # of a step, of which Tekton says the same a moment later
        return _describe_pull_failure(reason, state, options)
    if run["metadata"]["name"] in reason:
        remedy = "the Secret with the link to the build context was deleted, so run again"
    else:
        remedy = _find_remedy(_START_REMEDIES, reason).format(pod=run["status"]["podName"])
    return f"cannot start: {reason}; waiting does not help: {remedy}."


def describe_failure(
    run: KubernetesObject,
    state: PodState,
    waited_for: str,
    last_lines: Callable[[str], str],
    options: BuildOptions,
) -> str:
    """Return what went wrong with a TaskRun that failed, as the rest of a sentence about it.

    Args:
        run: The TaskRun.
        state: Its pod, if that is still there, and the pod's events.
        waited_for: What `describe_waiting` returned last.
        last_lines: Returns the last lines of the log of a step by its name.
        options: Those of the build.
    """
    condition = get_condition(run)
    message = to_one_line(condition["message"])
    if condition["reason"] in _NO_POD:
        return _describe_refusal(message, options)
    if condition["reason"] in (*_REASONS, *_NO_IMAGE_REASONS):
        return _describe_reason(condition["reason"], message, state, waited_for, options)
    if why := _describe_pod_failure(condition["reason"], message, state, last_lines):
        return why
    for step in run["status"].get("steps", []):
        ended = step.get("terminated", {})
        if ended.get("exitCode", 0) != 0 or ended.get("reason") in BROKEN_REASONS:
            deletion = _describe_deletion(run, state)
            return describe_step(step["name"], ended, last_lines(step["name"]), options, deletion)
    return f"failed ({condition['reason']}): {message}."


def _describe_reason(reason: str, message: str, state: PodState, waited_for: str, options: BuildOptions) -> str:
    """Return what a reason of Tekton means that is not a step's."""
    if reason in _NO_IMAGE_REASONS:
        return _describe_pull_failure(message.rpartition(_QUOTED)[2].strip('".'), state, options)
    why = f"; it was waiting: {waited_for}" if waited_for else ""
    return _REASONS[reason].format(message=message, options=options, waiting=why)


def _describe_pull_failure(message: str, state: PodState, options: BuildOptions) -> str:
    warning = describe_pull_secrets(state.events)
    return _NO_IMAGE.format(message=message, warning=f" ({warning})" if warning else "", options=options)


def _describe_pod_failure(reason: str, message: str, state: PodState, last_lines: Callable[[str], str]) -> str:
    """Return why Kubernetes ended the pod, or which init container failed; empty if it is a step that failed."""
    pod = state.pod or {}
    failure = describe_pod_failure(pod)
    if reason == "PodEvicted" or failure.startswith("Evicted"):  # the first is a reason since Tekton 1.12
        return f"was evicted from its node: {message}; run again, with more memory in build_options if that was short."
    if failure:
        return f"was ended by Kubernetes: {failure}; run again."
    if init := find_failed_init_container(pod):
        log = to_one_line(last_lines(init["name"]))
        return f"could not start: {describe_failed_init_container(init)}: {log}; ask who runs OpenShift Pipelines."
    return ""


def _describe_refusal(message: str, options: BuildOptions) -> str:
    if match := _REFUSAL.match(message):
        message = match["message"]
    if f'serviceaccounts "{options.service_account}" not found' in message:
        return _ACCOUNT_MISSING.format(options=options)
    refusal = explain_refusal(message)
    if refusal.reason in message:  # it has no words of its own for this one
        return _NOT_ADMITTED.format(message=message, options=options)
    hint = " (build_options' cpu and memory)" if refusal.remedy.startswith("ask for") else ""
    return f"could not get its pod: {refusal.reason}; {refusal.remedy}{hint}."


def _find_remedy(patterns: tuple[tuple[tuple[str, ...], str], ...], text: str) -> str:
    """Return the remedy of the first pattern, of which a sign is in the text; the last pattern fits every text."""
    return next(remedy for signs, remedy in patterns if any(sign in text for sign in signs))


def _describe_deletion(run: KubernetesObject, state: PodState) -> str:
    """Return that, and why, the pod of a TaskRun was deleted; empty if it was not, or never was there."""
    if not run["status"].get("podName") or not is_deleted(state.pod):
        return ""
    return f"its pod was deleted ({describe_deletion(state.events) or 'by a person, or as its node was drained'})"

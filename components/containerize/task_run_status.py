"""Why a TaskRun waits or failed, in one sentence that says what to do."""

from collections.abc import Callable
from typing import Any

from kfp_edge.components.containerize.build_options import BuildOptions

#: Reasons of Tekton (`pkg/apis/pipeline/v1/taskrun_types.go`, `pkg/pod/status.go`) while nothing is wrong.
_GOING_WELL = ("", "Started", "Running")
_STARTING = ("", "ContainerCreating", "PodInitializing")

_NOT_ADMITTED = (
    "could not get its pod: {message}; check that the service account {options.service_account} exists and may use "
    "the SCC that Buildah needs (deploy/openshift/README.md)."
)
_NO_IMAGE = (
    "cannot pull the image {options.builder_image}: {message}; check build_options' builder_image and the pull "
    "secrets of the service account {options.service_account}."
)
_INVALID = "is refused by Tekton: {message}; check that OpenShift Pipelines is of a version with tekton.dev/v1."

# What Tekton gives as the reason of a failure that is not a step's.
_REASONS = {
    "TaskRunTimeout": "did not end within {options.timeout} s{waiting}; raise build_options' timeout.",
    "TaskRunCancelled": "was cancelled by someone else: {message}; run again.",
    "TaskRunImagePullFailed": _NO_IMAGE,
    "PullImageFailed": _NO_IMAGE,
    "PodCreationFailed": _NOT_ADMITTED,
    "PodAdmissionFailed": _NOT_ADMITTED,
    "CreateContainerConfigError": "has a container that cannot be configured: {message}; run again.",
    "TaskRunValidationFailed": _INVALID,
    "TaskValidationFailed": _INVALID,
    "TaskRunResolutionFailed": _INVALID,
    "InvalidParamValue": _INVALID,
    "ResourceVerificationFailed": _INVALID,
}

# What the exit codes of fetch.sh and build.sh mean.
_EXIT_CODES = {
    ("fetch", 41): "cannot reach the object store: {said}; check AWS_S3_ENDPOINT, which has to work in the cluster.",
    ("fetch", 42): "could not fetch the build context: {said}; try again, or ask who runs the object store.",
    ("fetch", 43): (
        "was refused the build context by the object store (HTTP 403): the link expired, or the credentials that "
        "signed it did; run again, and raise build_options' timeout if builds wait long."
    ),
    ("fetch", 44): "found no build context (HTTP 404): somebody deletes objects early; check the bucket's lifecycle.",
    ("fetch", 45): "fetched a build context that is not the one that was uploaded; check who writes to the bucket.",
    ("fetch", 47): "found no .crt in the ConfigMap {options.ca_bundle}; check build_options' ca_bundle.",
    ("build-and-push", 46): (
        "found no .dockerconfigjson in the Secret {options.registry_secret}; check build_options' registry_secret."
    ),
}

# What Buildah says (in lower case), and what that means.
_SAID = (
    (
        ("unauthorized", "authentication required", "denied", "forbidden"),
        "was refused by the registry: {said}; check build_options' registry_secret, "
        "or the secrets of the service account {options.service_account}.",
    ),
    (
        ("x509:",),
        "does not trust the registry: {said}; put its CA into a ConfigMap and name it in build_options' ca_bundle.",
    ),
    (("no space left",), "ran out of disk: {said}; ask for nodes with more ephemeral storage."),
)

# How a failed step is told; `{said}` is the end of its log.
_OUT_OF_MEMORY = "ran out of memory; raise build_options' memory, now {options.memory}."
_EXIT = "ended with exit code {code}: {said}."


def condition(run: dict[str, Any]) -> dict[str, str]:
    """Return the condition `Succeeded` of a TaskRun; empty as long as Tekton has not taken it up."""
    for found in run.get("status", {}).get("conditions", []):
        if found["type"] == "Succeeded":
            return {key: found.get(key, "") for key in ("status", "reason", "message")}
    return {}


def ended(run: dict[str, Any]) -> bool:
    """Whether a TaskRun is over, well or not."""
    return condition(run).get("status") in ("True", "False")


def waiting(run: dict[str, Any], pod: dict[str, Any] | None) -> str:
    """Return why a TaskRun has not started its steps, as its pod says, else as Tekton does; empty when it has."""
    found = condition(run)
    if not found:
        return "no Tekton controller has taken it up (is OpenShift Pipelines installed and running?)"
    if found["reason"] in _GOING_WELL:
        return ""
    status = (pod or {}).get("status", {})
    for each in status.get("conditions", []):
        if each["type"] == "PodScheduled" and each["status"] == "False":
            return _joined(each)
    states = [container.get("state", {}).get("waiting", {}) for container in status.get("containerStatuses", [])]
    for state in states:
        if state.get("reason", "") not in _STARTING:
            return _joined(state)
    return "its containers are being made" if states else _joined(found)


def failure(
    run: dict[str, Any],
    pod: dict[str, Any] | None,
    waited: str,
    last: Callable[[str], str],
    options: BuildOptions,
) -> str:
    """Return what went wrong with a TaskRun that failed, as the rest of a sentence about it.

    Args:
        run: The TaskRun.
        pod: Its pod, if that is still there.
        waited: What `waiting` said last.
        last: Gives the last lines of a step's log by its name.
        options: Of the build.
    """
    found = condition(run)
    message = _line(found["message"])
    if found["reason"] in _REASONS:
        why = f"; it was waiting: {waited}" if waited else ""
        return _REASONS[found["reason"]].format(message=message, options=options, waiting=why)
    evicted = (pod or {}).get("status", {}).get("reason") == "Evicted"
    if evicted or found["reason"] == "PodEvicted":  # which Tekton says since 1.12
        return f"was evicted from its node: {message}; run again, with more memory in build_options if that was short."
    for step in run["status"].get("steps", []):
        state = step.get("terminated", {})
        if state.get("exitCode", 0) != 0 or state.get("reason") == "OOMKilled":
            return _of_step(step["name"], state, last(step["name"]), options)
    return f"failed ({found['reason']}): {message}."


def _of_step(step: str, state: dict[str, Any], said: str, options: BuildOptions) -> str:
    code = state["exitCode"]
    text = _EXIT_CODES.get((step, code), _EXIT)
    if state.get("reason") == "OOMKilled":
        text = _OUT_OF_MEMORY
    elif text == _EXIT:
        text = next((text for signs, text in _SAID if any(sign in said.lower() for sign in signs)), _EXIT)
    return f"failed: its step {step} " + text.format(code=code, said=_line(said), options=options)


def _joined(state: dict[str, str]) -> str:
    return ": ".join(filter(None, (state.get("reason", ""), _line(state.get("message", "")))))


def _line(text: str) -> str:
    return " ".join(text.split()).rstrip(".") or "no reason was given"

"""Why a TaskRun waits or failed, in one sentence that says what to do."""

from collections.abc import Callable

from kfp_edge.cluster.objects import KubernetesObject
from kfp_edge.components.containerize.build_options import BuildOptions

#: Reasons of Tekton (`pkg/apis/pipeline/v1/taskrun_types.go`, `pkg/pod/status.go`) that are no reason to wait.
_RUNNING = ("", "Started", "Running")
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

# Reasons of Tekton for a failure that is not a step's.
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
    ("fetch", 41): "cannot reach the object store: {log}; check AWS_S3_ENDPOINT, which has to work in the cluster.",
    ("fetch", 42): "could not fetch the build context: {log}; try again, or ask who runs the object store.",
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

# Parts of what Buildah logs (in lower case), and what they mean.
_LOG_PATTERNS = (
    (
        ("unauthorized", "authentication required", "denied", "forbidden"),
        "was refused by the registry: {log}; check build_options' registry_secret, "
        "or the secrets of the service account {options.service_account}.",
    ),
    (
        ("x509:",),
        "does not trust the registry: {log}; put its CA into a ConfigMap and name it in build_options' ca_bundle.",
    ),
    (("no space left",), "ran out of disk: {log}; ask for nodes with more ephemeral storage."),
)

# How other failures of a step are described; `{log}` is the end of its log.
_OUT_OF_MEMORY = "ran out of memory; raise build_options' memory, now {options.memory}."
_EXIT = "ended with exit code {code}: {log}."


def get_condition(run: KubernetesObject) -> dict[str, str]:
    """Return the condition `Succeeded` of a TaskRun; empty as long as Tekton has not taken it up."""
    for condition in run.get("status", {}).get("conditions", []):
        if condition["type"] == "Succeeded":
            return {key: condition.get(key, "") for key in ("status", "reason", "message")}
    return {}


def has_ended(run: KubernetesObject) -> bool:
    """Whether a TaskRun has succeeded or failed."""
    return get_condition(run).get("status") in ("True", "False")


def describe_waiting(run: KubernetesObject, pod: KubernetesObject | None) -> str:
    """Return why a TaskRun has not started its steps, by its pod's status, else by its own; empty when it has."""
    condition = get_condition(run)
    if not condition:
        return "no Tekton controller has taken it up (is OpenShift Pipelines installed and running?)"
    if condition["reason"] in _RUNNING:
        return ""
    status = (pod or {}).get("status", {})
    for pod_condition in status.get("conditions", []):
        if pod_condition["type"] == "PodScheduled" and pod_condition["status"] == "False":
            return _join_reason(pod_condition)
    states = [container.get("state", {}).get("waiting", {}) for container in status.get("containerStatuses", [])]
    for state in states:
        if state.get("reason", "") not in _STARTING:
            return _join_reason(state)
    return "its containers are being created" if states else _join_reason(condition)


def describe_failure(
    run: KubernetesObject,
    pod: KubernetesObject | None,
    waited_for: str,
    last_lines: Callable[[str], str],
    options: BuildOptions,
) -> str:
    """Return what went wrong with a TaskRun that failed, as the rest of a sentence about it.

    Args:
        run: The TaskRun.
        pod: Its pod, if that is still there.
        waited_for: What `describe_waiting` returned last.
        last_lines: Returns the last lines of the log of a step by its name.
        options: Those of the build.
    """
    condition = get_condition(run)
    message = _to_one_line(condition["message"])
    if condition["reason"] in _REASONS:
        why = f"; it was waiting: {waited_for}" if waited_for else ""
        return _REASONS[condition["reason"]].format(message=message, options=options, waiting=why)
    evicted = (pod or {}).get("status", {}).get("reason") == "Evicted"
    if evicted or condition["reason"] == "PodEvicted":  # a reason since Tekton 1.12
        return f"was evicted from its node: {message}; run again, with more memory in build_options if that was short."
    for step in run["status"].get("steps", []):
        state = step.get("terminated", {})
        if state.get("exitCode", 0) != 0 or state.get("reason") == "OOMKilled":
            return _describe_step(step["name"], state, last_lines(step["name"]), options)
    return f"failed ({condition['reason']}): {message}."


def _describe_step(step: str, state: KubernetesObject, log: str, options: BuildOptions) -> str:
    code = state["exitCode"]
    text = _EXIT_CODES.get((step, code), _EXIT)
    if state.get("reason") == "OOMKilled":
        text = _OUT_OF_MEMORY
    elif text == _EXIT:
        text = next((text for signs, text in _LOG_PATTERNS if any(sign in log.lower() for sign in signs)), _EXIT)
    return f"failed: its step {step} " + text.format(code=code, log=_to_one_line(log), options=options)


def _join_reason(state: dict[str, str]) -> str:
    return ": ".join(filter(None, (state.get("reason", ""), _to_one_line(state.get("message", "")))))


def _to_one_line(text: str) -> str:
    return " ".join(text.split()).rstrip(".") or "no reason was given"

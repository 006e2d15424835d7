"""How a step of the build failed, by its exit code, its log, or what the kubelet reports."""

from kfp_edge.components.containerize.build_options import BuildOptions
from kfp_edge.kubernetes.objects import KubernetesObject
from kfp_edge.kubernetes.pods import to_one_line

_FETCH, _BUILD = "fetch", "build-and-push"

# What the exit codes of fetch.sh and build.sh mean.
_EXIT_CODES = {
    (_FETCH, 41): (
        "cannot reach the object store: {log}; check AWS_S3_ENDPOINT, which has to work in the cluster, and whether a "
        "NetworkPolicy of the namespace lets builds connect to its port."
    ),
    (_FETCH, 42): "could not fetch the build context: {log}; try again, or ask who runs the object store.",
    (_FETCH, 43): (
        "was refused the build context by the object store (HTTP 403): the link expired, or the credentials that "
        "signed it did; run again, and raise build_options' timeout if builds wait long."
    ),
    (_FETCH, 44): "found no build context (HTTP 404): somebody deletes objects early; check the bucket's lifecycle.",
    (_FETCH, 45): "fetched a build context that is not the one that was uploaded; check who writes to the bucket.",
    (_FETCH, 47): "found no .crt in the ConfigMap {options.ca_bundle}; check build_options' ca_bundle.",
    (_FETCH, 48): (
        "does not trust the object store: {log}; put its CA into a ConfigMap and name it in build_options' ca_bundle."
    ),
    (_BUILD, 46): (
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
    (
        ("gave http response to https client",),
        "found a registry without TLS: {log}; a build in the cluster needs https.",
    ),
    (
        ("no such host", "connection refused", "i/o timeout", "no route to host", "network is unreachable"),
        "cannot reach the registry: {log}; check its name, and whether a NetworkPolicy of the namespace lets builds "
        "connect to its port.",
    ),
    (("no space left",), "ran out of disk: {log}; ask for nodes with more ephemeral storage."),
)

_OUT_OF_MEMORY = "ran out of memory; raise build_options' memory, now {options.memory}."
_KILLED = (
    "was killed (exit code {code}): {log}; if the node had no memory left, raise build_options' memory, now "
    "{options.memory}."
)
_EXIT = "ended with exit code {code}: {log}."

# Reasons of the kubelet for containers that did not end by themselves, and what to do.
_KUBELET_REASONS = {
    "ContainerStatusUnknown": "was lost with its node: {message}; run again.",
    "StartError": "could not be started: {message}; check build_options' builder_image.",
    "ContainerCannotRun": "could not be started: {message}; check build_options' builder_image.",
}
#: Reasons of steps that ended without Tekton's entrypoint in them: the steps after such a one wait for it for ever.
BROKEN_REASONS = ("OOMKilled", *_KUBELET_REASONS)
# Exit codes of a process that a signal ended: 128 and the signal's number; Tekton's entrypoint reports 255.
_FIRST_SIGNAL = 128
_SIGKILL = 137


def describe_step(step: str, state: KubernetesObject, log: str, options: BuildOptions, deletion: str) -> str:
    """Return how a step failed, as the rest of a sentence about its TaskRun.

    Args:
        step: Its name.
        state: Its state `terminated`.
        log: The last lines of its log.
        options: Those of the build.
        deletion: That the pod was deleted, and why; empty if it was not.
    """
    code = state["exitCode"]
    known = (step, code) in _EXIT_CODES or state.get("reason") in BROKEN_REASONS
    if deletion and code >= _FIRST_SIGNAL and not known:
        return f"was interrupted in its step {step}: {deletion}; run again."
    text = _find_text(step, state, log.lower())
    message = to_one_line(state.get("message", ""))
    return f"failed: its step {step} " + text.format(code=code, log=to_one_line(log), message=message, options=options)


def _find_text(step: str, state: KubernetesObject, log: str) -> str:
    reason, code = state.get("reason", ""), state["exitCode"]
    if reason == "OOMKilled":
        return _OUT_OF_MEMORY
    if (step, code) in _EXIT_CODES:
        return _EXIT_CODES[step, code]
    if reason in _KUBELET_REASONS:
        return _KUBELET_REASONS[reason]
    for signs, text in _LOG_PATTERNS:
        if any(sign in log for sign in signs):
            return text
    return _KILLED if code == _SIGKILL else _EXIT

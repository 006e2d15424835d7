"""Checks of the Secrets with which nodes pull images."""

import base64
import binascii
import fnmatch
import json
from collections.abc import Iterable, Iterator, Sequence

from kfp_edge.diagnosis import CheckStatus, Diagnosis
from kfp_edge.kubernetes import KubernetesObject
from kfp_edge.prerequisites.namespace import Namespace
from kfp_edge.prerequisites.pod_needs import ObjectNeed, PodNeeds

#: The file of logins in a Secret, by the Secret's type.
_LOGIN_FILES = {"kubernetes.io/dockerconfigjson": ".dockerconfigjson", "kubernetes.io/dockercfg": ".dockercfg"}
_DOCKER_HUB = "docker.io"
_DOCKER_HUB_NAMES = ("docker.io", "index.docker.io", "registry-1.docker.io")
#: The end of host names that only pods and nodes of the cluster know, such as OpenShift's own registry.
_CLUSTER_HOST = (".svc", ".svc.cluster.local")


def check_pull_secrets(namespace: Namespace, pods: Sequence[PodNeeds]) -> Iterator[Diagnosis]:
    """Check that the Secret with which an image is pulled has a login for its registry.

    A registry may need none: only a Secret that has logins, and none for this registry, is a warning.
    """
    for pod in pods:
        if pod.pull_secret is not None:
            yield _check_pull_secret(namespace, pod.pull_secret, pod)
        elif pod.image and (account := next((each for each in pod.objects if each.kind == "ServiceAccount"), None)):
            yield from _check_account(namespace, account.name, pod)


def find_better_pull_secrets(namespace: Namespace, account: str, pods: Sequence[PodNeeds]) -> dict[str, str]:
    """Return which pull secrets of a service account are better than those that parameters name.

    Kubernetes takes the pull secrets of the service account only for pods without any. A parameter's value is replaced
    where it has no login for the registry of an image, and one of the service account has logins for all.

    Args:
        namespace: That of the pods.
        account: The service account of the pods.
        pods: What they need.

    Returns:
        The names of Secrets, by parameter.

    Raises:
        ClusterError: the Secrets or the service account may not be read.
    """
    images: dict[ObjectNeed, set[str]] = {}
    for pod in pods:
        if pod.pull_secret is not None and pod.pull_secret.parameter and pod.image:
            images.setdefault(pod.pull_secret, set()).add(pod.image)
    better: dict[str, str] = {}
    for need, pulled in images.items():
        if _has_logins(namespace, need.name, pulled):
            continue
        resource = namespace.get("ServiceAccount", account) or {}
        names = [str(each["name"]) for each in resource.get("imagePullSecrets", ())]
        if name := next((each for each in names if _has_logins(namespace, each, pulled)), ""):
            better[need.parameter] = name
    return better


def _has_logins(namespace: Namespace, name: str, images: Iterable[str]) -> bool:
    secret = namespace.get("Secret", name)
    if secret is None or secret.get("type") not in _LOGIN_FILES:
        return False
    logins = _logins(secret)
    return all(any(_is_for(login, image) for login in logins) for image in images)


def _check_account(namespace: Namespace, account: str, pod: PodNeeds) -> Iterator[Diagnosis]:
    resource = namespace.get("ServiceAccount", account)
    for secret in (resource or {}).get("imagePullSecrets", ()):
        yield _check_pull_secret(namespace, ObjectNeed("Secret", secret["name"], is_required=False), pod)


def _check_pull_secret(namespace: Namespace, need: ObjectNeed, pod: PodNeeds) -> Diagnosis:
    title = f"image pull secret {need.name}"
    host = _host(pod.image)
    another = f", or name another one with the parameter {need.parameter}" if need.parameter else ""
    secret = namespace.get("Secret", need.name)
    if secret is None:
        details = f"does not exist in {namespace.name}; the image comes from {host or 'a registry'} without a login"
        is_in_cluster = host.partition(":")[0].endswith(_CLUSTER_HOST)
        status: CheckStatus = "warning" if need.is_required or is_in_cluster else "optional"
        remedy = "create it if that registry asks for one (deploy/openshift/secrets has a template)"
        return Diagnosis(title, details, status, remedy + another)
    if secret.get("type") not in _LOGIN_FILES:
        details = f"is of type {secret.get('type')} in {namespace.name}, which no node uses for a pull"
        return Diagnosis(title, details, "warning", f"make it of type kubernetes.io/dockerconfigjson{another}")
    logins = _logins(secret)
    if host and not any(_is_for(login, pod.image) for login in logins):
        details = f"has no login for {host} in {namespace.name}, only for {', '.join(sorted(logins)) or 'nothing'}"
        remedy = f"add one if {host} asks for it: {pod.title} would wait for its image"
        return Diagnosis(title, details, "warning", remedy + another)
    return Diagnosis(title, f"exists in {namespace.name}" + (f", with a login for {host}" if host else ""), "ok")


def _logins(secret: KubernetesObject) -> list[str]:
    """Return for which registries a Secret has a login; not the login."""
    encoded = (secret.get("data") or {}).get(_LOGIN_FILES[secret["type"]], "")
    try:
        content = json.loads(base64.b64decode(encoded))
    except (ValueError, binascii.Error):
        return []
    logins = content.get("auths", content) if isinstance(content, dict) else {}
    return list(logins) if isinstance(logins, dict) else []


def _host(image: str) -> str:
    """Return the registry of an image; without one in its name it is Docker Hub."""
    first, slash, _ = image.partition("/")
    is_host = slash and ("." in first or ":" in first or first == "localhost")
    return (first if is_host else _DOCKER_HUB) if image else ""


def _is_for(login: str, image: str) -> bool:
    """Whether a kubelet uses a login for an image: its host may have wildcards, its path is the beginning of one."""
    address = login.removeprefix("https://").removeprefix("http://").rstrip("/")
    host, _, path = address.partition("/")
    image_host = _host(image)
    if host in _DOCKER_HUB_NAMES:
        return image_host in _DOCKER_HUB_NAMES
    image_path = image.partition("/")[2]
    return fnmatch.fnmatchcase(image_host, host) and (path in ("", "v1", "v2") or image_path.startswith(path))

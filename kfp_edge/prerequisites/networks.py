"""Checks of NetworkPolicies: whether they let pods connect to the ports that a run needs."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from kfp_edge.diagnosis import Diagnosis
from kfp_edge.kubernetes import KubernetesObject
from kfp_edge.prerequisites.namespace import Namespace
from kfp_edge.prerequisites.pod_needs import Destination, PodNeeds

_ENDPOINT_KEY = "AWS_S3_ENDPOINT"
_DEFAULT_PORTS = {"http": 80, "https": 443}


def check_networks(namespace: Namespace, pods: Sequence[PodNeeds]) -> Iterator[Diagnosis]:
    """Check the egress rules for the pods of the run: a port that no rule names is cut off without a word.

    Which hosts a rule allows is not compared: pods and policies name them in different ways.
    """
    policies = namespace.list("NetworkPolicy")
    for pod in pods:
        selecting = [policy for policy in policies if _limits_egress_of(policy, pod.labels)]
        if not selecting:
            continue
        for destination in (*pod.destinations, *_object_store(namespace, pod)):
            if not any(_allows(policy, destination.port) for policy in selecting):
                names = ", ".join(policy["metadata"]["name"] for policy in selecting)
                yield Diagnosis(
                    f"NetworkPolicy {names}",
                    f"does not let {pod.title} connect to port {destination.port} of {destination.what} in "
                    f"{namespace.name}",
                    "missing",
                    "name the port in names.yaml of deploy/openshift, and apply it again",
                )


def _object_store(namespace: Namespace, pod: PodNeeds) -> Iterator[Destination]:
    """Yield the object store whose endpoint is in a Secret."""
    if not pod.object_store_secret:
        return
    secret = namespace.get("Secret", pod.object_store_secret)
    encoded = ((secret or {}).get("data") or {}).get(_ENDPOINT_KEY, "")
    try:
        url = urlsplit(base64.b64decode(encoded).decode())
        port = url.port or _DEFAULT_PORTS.get(url.scheme)
    except ValueError:  # no endpoint: the stage that needs it reports that
        return
    if url.hostname and port:
        yield Destination(f"the object store {url.hostname}", port)


def _limits_egress_of(policy: KubernetesObject, labels: Mapping[str, str]) -> bool:
    spec = policy["spec"]
    return "Egress" in spec.get("policyTypes", ()) and _selects(spec.get("podSelector", {}), labels)


def _selects(selector: KubernetesObject, labels: Mapping[str, str]) -> bool:
    if not selector.get("matchLabels", {}).items() <= labels.items():
        return False
    return all(_fits(expression, labels) for expression in selector.get("matchExpressions", ()))


def _fits(expression: KubernetesObject, labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values", ())
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels


def _allows(policy: KubernetesObject, port: int) -> bool:
    return any(_covers(rule, port) for rule in policy["spec"].get("egress", ()))


def _covers(rule: KubernetesObject, port: int) -> bool:
    ports = rule.get("ports")
    return not ports or any(_is_port(each, port) for each in ports)


def _is_port(entry: KubernetesObject, port: int) -> bool:
    if entry.get("protocol", "TCP") != "TCP":
        return False
    first = entry.get("port", port)
    return not isinstance(first, int) or first <= port <= entry.get("endPort", first)

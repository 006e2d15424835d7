"""Checks of ResourceQuotas: whether they admit the pods of a run at all, and whether there is room now."""

from collections.abc import Iterator, Sequence
from decimal import Decimal

from kfp_edge.diagnosis import Diagnosis
from kfp_edge.kubernetes import KubernetesObject
from kfp_edge.prerequisites.amounts import parse_amount, with_defaults
from kfp_edge.prerequisites.namespace import Namespace
from kfp_edge.prerequisites.pod_needs import PodNeeds

#: What counts against a quota of containers, by its key: requests or limits, and of what.
_RESOURCES = {
    "cpu": ("requests", "cpu"),
    "memory": ("requests", "memory"),
    "requests.cpu": ("requests", "cpu"),
    "requests.memory": ("requests", "memory"),
    "limits.cpu": ("limits", "cpu"),
    "limits.memory": ("limits", "memory"),
}
#: Quotas for other pods than those of a run, or for classes that are not known before it.
_OTHER_SCOPES = frozenset({"BestEffort", "Terminating", "PriorityClass", "CrossNamespacePodAffinity"})


def check_quotas(namespace: Namespace, pods: Sequence[PodNeeds]) -> Iterator[Diagnosis]:
    """Check every quota of the namespace against each pod of the run by itself; they run one after another."""
    quotas = [quota for quota in namespace.list("ResourceQuota") if not _is_for_other_pods(quota)]
    ranges = namespace.list("LimitRange") if quotas else []
    completed = [with_defaults(pod, ranges) for pod in pods]
    for quota in quotas:
        problems = [
            problem
            for key, limit in sorted(quota.get("spec", {}).get("hard", {}).items())
            if (problem := _check_key(namespace.name, quota, key, str(limit), completed)) is not None
        ]
        name = quota["metadata"]["name"]
        details = f"has room for each pod of the run in {namespace.name}"
        yield from problems or [Diagnosis(f"ResourceQuota {name}", details, "ok")]


def _check_key(
    namespace: str, quota: KubernetesObject, key: str, limit: str, pods: Sequence[PodNeeds]
) -> Diagnosis | None:
    title = f"ResourceQuota {quota['metadata']['name']}"
    pod, asked = max(((pod, _asked(key, pod)) for pod in pods), key=lambda pair: pair[1])
    allowed = parse_amount(limit)
    if allowed is None:
        return None
    if asked > allowed:
        details = f"allows {limit} of {key} in {namespace}, and {pod.title} asks for {_format(asked, key)}"
        return Diagnosis(title, details, "missing", "ask for less with the run's parameters, or have the quota raised")
    if key in _RESOURCES and (unlimited := _containers_without(key, pods)):
        return Diagnosis(
            title,
            f"wants {key} of every container in {namespace}, and {', '.join(unlimited)} of the run's pods name none",
            "warning",
            "create a LimitRange with defaults, such as the one of deploy/openshift/quota: else no pod is admitted",
        )
    used_text = str(quota.get("status", {}).get("used", {}).get(key, "0"))
    if asked and (parse_amount(used_text) or Decimal(0)) + asked > allowed:
        details = (
            f"is used up in {namespace}: {used_text} of {limit} of {key}, and {pod.title} asks for "
            f"{_format(asked, key)}"
        )
        return Diagnosis(title, details, "warning", "the run waits until others have ended, or the quota is raised")
    return None


def _containers_without(key: str, pods: Sequence[PodNeeds]) -> list[str]:
    kind, resource = _RESOURCES[key]
    names = (each.name for pod in pods for each in pod.containers if resource not in getattr(each, kind))
    return list(dict.fromkeys(names))


def _asked(key: str, pod: PodNeeds) -> Decimal:
    """Return how much of a key the pod takes: the sum of its containers, or what is created with it."""
    if key not in _RESOURCES:
        return Decimal(pod.counts.get(key.removeprefix("count/"), 0))
    kind, resource = _RESOURCES[key]
    amounts = (parse_amount(getattr(each, kind).get(resource)) for each in pod.containers)
    return sum((amount for amount in amounts if amount is not None), Decimal(0))


def _is_for_other_pods(quota: KubernetesObject) -> bool:
    spec = quota.get("spec", {})
    selected = (each.get("scopeName") for each in spec.get("scopeSelector", {}).get("matchExpressions", ()))
    return bool(_OTHER_SCOPES & {*spec.get("scopes", ()), *selected})


def _format(amount: Decimal, key: str) -> str:
    """Return an amount as people write it: bytes in Mi or Gi, processors with at most three digits."""
    if not key.endswith("memory"):
        return f"{amount.normalize():f}"
    for unit, factor in (("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)):
        if amount >= factor:
            return f"{float(amount / factor):.4g}{unit}"
    return f"{amount:f}"

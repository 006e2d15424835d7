"""Amounts of CPU and memory that containers ask for, with the defaults of a LimitRange."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal

from kfp_edge.kubernetes import KubernetesObject
from kfp_edge.kubernetes.quantities import parse_quantity
from kfp_edge.prerequisites.pod_needs import ContainerNeeds, PodNeeds


def parse_amount(quantity: object) -> Decimal | None:
    """Return the number that a quantity stands for (`500m`, `2Gi`), None if it is not one."""
    try:
        return parse_quantity(str(quantity))
    except ValueError:
        return None


def range_items(ranges: Iterable[KubernetesObject], kind: str) -> list[KubernetesObject]:
    """Return the limits of LimitRanges for a type: `Container` or `Pod`."""
    return [item for each in ranges for item in each.get("spec", {}).get("limits", ()) if item.get("type") == kind]


def with_defaults(pod: PodNeeds, ranges: Iterable[KubernetesObject]) -> PodNeeds:
    """Return the pod as the API server completes it: defaults of LimitRanges, and limits in place of requests."""
    items = range_items(ranges, "Container")
    limits = _merge(item.get("default") or item.get("max") or {} for item in items)
    requests = _merge(item.get("defaultRequest") or item.get("default") or item.get("max") or {} for item in items)
    return replace(pod, containers=tuple(_complete(each, requests, limits) for each in pod.containers))


def _complete(container: ContainerNeeds, requests: Mapping[str, str], limits: Mapping[str, str]) -> ContainerNeeds:
    # a limit that is named stands in for a request before the default of a LimitRange does
    completed = {**requests, **container.limits, **container.requests}
    return replace(container, requests=completed, limits={**limits, **container.limits})


def _merge(mappings: Iterable[Mapping[str, str]]) -> dict[str, str]:
    return {name: amount for mapping in mappings for name, amount in mapping.items()}

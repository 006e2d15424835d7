"""Checks of LimitRanges: whether they admit the containers and the pods of a run."""

from collections.abc import Iterator, Sequence

from kfp_edge.diagnosis import Diagnosis
from kfp_edge.kubernetes import KubernetesObject
from kfp_edge.prerequisites.amounts import parse_amount, range_items, with_defaults
from kfp_edge.prerequisites.namespace import Namespace
from kfp_edge.prerequisites.pod_needs import ContainerNeeds, PodNeeds

_REMEDY = "change the run's parameters, or the LimitRange"


def check_limit_ranges(namespace: Namespace, pods: Sequence[PodNeeds]) -> Iterator[Diagnosis]:
    """Check the containers of each pod against every LimitRange, defaults added as the API server does."""
    ranges = namespace.list("LimitRange")
    completed = [with_defaults(pod, ranges) for pod in pods]
    for limit_range in ranges:
        title = f"LimitRange {limit_range['metadata']['name']}"
        problems = list(dict.fromkeys(_find_problems(limit_range, completed)))
        details = f"admits each pod of the run in {namespace.name}"
        yield from (Diagnosis(title, f"{each} in {namespace.name}", "missing", _REMEDY) for each in problems)
        if not problems:
            yield Diagnosis(title, details, "ok")


def _find_problems(limit_range: KubernetesObject, pods: Sequence[PodNeeds]) -> Iterator[str]:
    for item in range_items([limit_range], "Container"):
        for pod in pods:
            for container in pod.containers:
                yield from _check_container(item, container, pod.title)


def _check_container(item: KubernetesObject, container: ContainerNeeds, pod: str) -> Iterator[str]:
    where = f"the container {container.name} of {pod}"
    for resource in ("cpu", "memory"):
        request, limit = container.requests.get(resource), container.limits.get(resource)
        highest, lowest = item.get("max", {}).get(resource), item.get("min", {}).get(resource)
        if _is_above(limit, highest):
            yield f"allows at most {highest} of {resource}, and {where} has a limit of {limit}"
        elif _is_above(request, highest):
            yield f"allows at most {highest} of {resource}, and {where} asks for {request}"
        elif _is_above(lowest, request):
            yield f"wants at least {lowest} of {resource}, and {where} asks for {request}"
        elif _is_above(request, limit):
            yield f"gives {where} a {resource} limit of {limit}, which is below its request of {request},"
        elif _exceeds_ratio(item.get("maxLimitRequestRatio", {}).get(resource), request, limit):
            ratio = item["maxLimitRequestRatio"][resource]
            most = f"allows a {resource} limit of at most {ratio} times the request"
            yield f"{most}, and {where} has {limit} to {request}"


def _is_above(amount: str | None, limit: str | None) -> bool:
    numbers = [parse_amount(each) for each in (amount, limit) if each is not None]
    return len(numbers) == 2 and None not in numbers and numbers[0] > numbers[1]  # type: ignore[operator]


def _exceeds_ratio(ratio: str | None, request: str | None, limit: str | None) -> bool:
    numbers = [parse_amount(each) for each in (ratio, request, limit) if each is not None]
    if len(numbers) < 3 or None in numbers or not numbers[1]:
        return False
    return numbers[2] / numbers[1] > numbers[0]  # type: ignore[operator]

"""ResourceQuotas and LimitRanges: what they refuse, in the words of Kubernetes 1.34, and what they add to a Pod."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from support.fake_kubernetes.kinds import Kind
from support.fake_kubernetes.objects import Object

_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(m|[kMGT]i?|Ki|)")
_FACTORS = {"m": 1e-3, "": 1.0} | {
    unit + suffix: float(base**power)
    for power, unit in enumerate("kMGT", start=1)
    for suffix, base in (("", 1000), ("i", 1024))
}
_RESOURCES = tuple(f"{kind}.{what}" for kind in ("requests", "limits") for what in ("cpu", "memory"))


def quantity(text: Any) -> float:
    """The number of bytes or processors that 512Mi, 250m or 2 stand for."""
    match = _QUANTITY.fullmatch(str(text))
    assert match, f"the fake does not know the quantity {text}"
    return float(match[1]) * _FACTORS[match[2].replace("Ki", "ki")]


def with_defaults(pod: Object, ranges: Iterable[Object]) -> Object:
    """The Pod with the requests and limits that the LimitRanges of its namespace give to containers without any."""
    kinds = ("containers", "initContainers")
    copies = {kind: [dict(each) for each in pod["spec"][kind]] for kind in kinds if kind in pod["spec"]}
    for item in _items(ranges):
        for container in (each for containers in copies.values() for each in containers):
            given = container.get("resources", {})
            limits = item.get("default", {}) | given.get("limits", {})
            requests = item.get("defaultRequest", {}) | given.get("limits", {}) | given.get("requests", {})
            if limits or requests:
                container["resources"] = given | {"limits": limits, "requests": requests}
    return pod | {"spec": pod["spec"] | copies}


def outside_limits(pod: Object, ranges: Iterable[Object]) -> str:
    """Which LimitRange the Pod violates; empty if none."""
    problems = [
        problem
        for item in _items(ranges)
        for container in pod["spec"]["containers"]
        for problem in _violations(item, container.get("resources", {}))
    ]
    return f"[{', '.join(problems)}]" if len(problems) > 1 else "".join(problems)


def _items(ranges: Iterable[Object]) -> Iterator[Object]:
    return (item for each in ranges for item in each["spec"]["limits"] if item["type"] == "Container")


def _violations(item: Object, resources: Object) -> Iterator[str]:
    limits, requests = resources.get("limits", {}), resources.get("requests", {})
    for what, least in item.get("min", {}).items():
        if what in requests and quantity(requests[what]) < quantity(least):
            yield f"minimum {what} usage per Container is {least}, but request is {requests[what]}"
    for what, most in item.get("max", {}).items():
        if what not in limits:
            yield f"maximum {what} usage per Container is {most}.  No limit is specified"
        elif quantity(limits[what]) > quantity(most):
            yield f"maximum {what} usage per Container is {most}, but limit is {limits[what]}"


def over_quota(pod: Object, others: Iterable[Object], quotas: Iterable[Object]) -> str:
    """Which quota the Pod would exceed beside the Pods that are there; empty if none."""
    used = [_asked(other) for other in others]
    for quota in quotas:
        hard = {key: limit for key, limit in quota["spec"]["hard"].items() if key in ("pods", *_RESOURCES)}
        if unsaid := _unsaid(pod, hard):
            return f"failed quota: {quota['metadata']['name']}: must specify {unsaid}"
        asked = _asked(pod)
        sums = {key: sum(one.get(key, 0.0) for one in used) for key in hard}
        if refusal := _exceeds(quota, hard, asked, sums):
            return refusal
    return ""


def over_count(kind: Kind, existing: int, quotas: Iterable[Object]) -> str:
    """Which quota one more object of a kind would exceed, other than a Pod; empty if none."""
    keys = (kind.plural, f"count/{kind.plural}.{kind.group}".rstrip("."))
    for quota in quotas if kind.name != "Pod" else ():
        hard = {name: limit for name, limit in quota["spec"]["hard"].items() if name in keys}
        counts = dict.fromkeys(hard, 1.0)
        if refusal := _exceeds(quota, hard, counts, dict.fromkeys(hard, float(existing))):
            return refusal
    return ""


def _exceeds(quota: Object, hard: Object, asked: dict[str, float], used: dict[str, float]) -> str:
    over = sorted(key for key, limit in hard.items() if used[key] + asked[key] > quantity(limit))
    if not over:
        return ""
    amounts = [
        f"{title}: {','.join(f'{key}={_text(values[key], key)}' for key in over)}"
        for title, values in (("requested", asked), ("used", used))
    ]
    limits = ",".join(f"{key}={hard[key]}" for key in over)
    return f"exceeded quota: {quota['metadata']['name']}, {', '.join(amounts)}, limited: {limits}"


def _text(amount: float, key: str) -> str:
    """An amount as Kubernetes writes it."""
    for unit in ("Gi", "Mi") if key.endswith("memory") else ():
        if amount and amount % _FACTORS[unit] == 0:
            return f"{amount / _FACTORS[unit]:g}{unit}"
    return f"{amount:g}" if amount == int(amount) else f"{amount * 1000:g}m"


def _unsaid(pod: Object, hard: Object) -> str:
    """What containers must name because of a quota and do not, by resource: `limits.cpu for: init,wait`."""
    lacking = {
        key: sorted(each["name"] for each in _containers(pod) if _amount(each, key) is None)
        for key in sorted(hard)
        if key in _RESOURCES
    }
    return "; ".join(f"{key} for: {','.join(names)}" for key, names in lacking.items() if names)


def _containers(pod: Object) -> list[Object]:
    """All containers of a Pod, those first that are to initialize it."""
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def _asked(pod: Object) -> dict[str, float]:
    """What a Pod takes of a quota. Limits stand in for requests."""
    total: dict[str, float] = {"pods": 1.0}
    for key in _RESOURCES:
        amounts = [_amount(each, key) for each in pod["spec"]["containers"]]
        total[key] = sum(quantity(amount) for amount in amounts if amount is not None)
    return total


def _amount(container: Object, key: str) -> Any:
    kind, what = key.split(".")
    resources = container.get("resources", {})
    instead = resources.get("limits", {}).get(what) if kind == "requests" else None
    return resources.get(kind, {}).get(what, instead)

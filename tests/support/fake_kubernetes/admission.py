"""What may refuse a Pod: Pod Security's `restricted`, the range of user IDs of OpenShift, and quotas."""

import re
from collections.abc import Iterable
from typing import Any

from support.fake_kubernetes.objects import Object

#: The user IDs that OpenShift gives the namespace of a fake; containers get the first.
USERS = range(1_000_680_000, 1_000_690_000)
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(m|[kMGT]i?|Ki|)")
_FACTORS = {"m": 1e-3, "": 1.0} | {
    unit + suffix: float(base**power)
    for power, unit in enumerate("kMGT", start=1)
    for suffix, base in (("", 1000), ("i", 1024))
}


def quantity(text: Any) -> float:
    """The number of bytes or processors that 512Mi, 250m or 2 stand for."""
    match = _QUANTITY.fullmatch(str(text))
    assert match, f"the fake does not know the quantity {text}"
    return float(match[1]) * _FACTORS[match[2].replace("Ki", "ki")]


def violations(pod: Object) -> str:
    """What breaks the Pod Security Standard `restricted`, or the security context constraint `restricted-v2`."""
    spec = pod["spec"]
    whole = spec.get("securityContext", {})
    problems = []
    for container in spec["containers"]:
        context = container.get("securityContext", {})
        both = whole | context
        capabilities, who = context.get("capabilities", {}), f'container "{container["name"]}" must set securityContext'
        if context.get("allowPrivilegeEscalation") is not False:
            problems.append(f"allowPrivilegeEscalation != false ({who}.allowPrivilegeEscalation=false)")
        if "ALL" not in capabilities.get("drop", []) or set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
            problems.append(f'unrestricted capabilities ({who}.capabilities.drop=["ALL"])')
        if both.get("runAsNonRoot") is not True:
            problems.append(f"runAsNonRoot != true (pod or {who}.runAsNonRoot=true)")
        if both.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
            problems.append(f'seccompProfile (pod or {who}.seccompProfile.type to "RuntimeDefault" or "Localhost")')
        user = both.get("runAsUser", USERS[0])
        if user not in USERS:
            detail = f"runAsUser: Invalid value: {user}: must be in the ranges: [{USERS[0]}, {USERS[-1]}]"
            return f"unable to validate against any security context constraint: {detail}"
    if spec.get("hostNetwork") or any("hostPath" in volume for volume in spec.get("volumes", [])):
        problems.append("host namespaces or hostPath volumes")
    return f'violates PodSecurity "restricted:latest": {", ".join(problems)}' if problems else ""


def over_quota(pod: Object, others: Iterable[Object], quotas: Iterable[Object]) -> str:
    """Which quota the Pod would exceed beside the Pods that are there; empty if none."""
    asked, used = _asked(pod), [_asked(other) for other in others]
    for quota in quotas:
        name = quota["metadata"]["name"]
        hard = {key: limit for key, limit in quota["spec"]["hard"].items() if key in ("pods", *_RESOURCES)}
        if unsaid := sorted(key for key in hard if key not in asked):
            return f"failed quota: {name}: must specify {','.join(unsaid)}"
        for key, limit in hard.items():
            before = sum(one.get(key, 0.0) for one in used)
            if before + asked[key] > quantity(limit):
                amounts = f"requested: {key}={asked[key]:g}, used: {key}={before:g}, limited: {key}={limit}"
                return f"exceeded quota: {name}, {amounts}"
    return ""


_RESOURCES = tuple(f"{kind}.{what}" for kind in ("requests", "limits") for what in ("cpu", "memory"))


def _asked(pod: Object) -> dict[str, float]:
    """What a Pod takes of a quota; without what a container does not say. Limits stand in for requests."""
    total: dict[str, float] = {"pods": 1.0}
    for key in _RESOURCES:
        kind, what = key.split(".")
        given = [one.get("resources", {}) for one in pod["spec"]["containers"]]
        amounts = [one.get(kind, {}).get(what, one.get("limits", {}).get(what)) for one in given]
        if None not in amounts:
            total[key] = sum(quantity(amount) for amount in amounts)
    return total


#: What the security context constraint `pipelines-scc` of OpenShift Pipelines lets a step add.
_ADDABLE = {"SETFCAP"}


def refusal_by_pipelines_scc(pod: Object) -> str:
    """Why `pipelines-scc` refuses the Pod; empty if it does not."""
    for number, container in enumerate(pod["spec"]["containers"]):
        context = container.get("securityContext", {})
        if context.get("privileged"):
            return f"spec.containers[{number}].securityContext.privileged: Invalid value: true: not allowed"
        added = set(context.get("capabilities", {}).get("add", [])) - _ADDABLE
        if added:
            detail = f'capabilities.add: Invalid value: "{min(added)}": capability may not be added'
            return f"spec.containers[{number}].securityContext.{detail}"
    return ""

"""What may refuse a Pod: Pod Security's `restricted`, and the security context constraints of OpenShift."""

from support.fake_kubernetes.objects import Object

#: The user IDs that OpenShift gives the namespace of a fake; containers get the first.
USERS = range(1_000_680_000, 1_000_690_000)


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

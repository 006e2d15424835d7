"""Whether the Roles and bindings that are stored allow a request: RBAC as Kubernetes has it."""

from collections.abc import Iterator
from typing import Any, Protocol


class Objects(Protocol):
    def __call__(self, kind: str, namespace: str = "") -> list[dict[str, Any]]: ...


def allows(
    objects: Objects, user: str, verb: str, group: str, resource: str, namespace: str = "", name: str = ""
) -> bool:
    """`resource` is a plural, with a subresource behind a slash; a namespace of "" is the whole cluster."""
    return any(_fits(rule, verb, group, resource, name) for rule in _rules(objects, user, namespace))


def _fits(rule: dict[str, Any], verb: str, group: str, resource: str, name: str) -> bool:
    wanted = ((verb, "verbs"), (group, "apiGroups"), (resource, "resources"))
    if not all({value, "*"} & set(rule.get(key) or ()) for value, key in wanted):
        return False
    return not rule.get("resourceNames") or name in rule["resourceNames"]


def _rules(objects: Objects, user: str, namespace: str) -> Iterator[dict[str, Any]]:
    bindings = objects("ClusterRoleBinding") + (objects("RoleBinding", namespace) if namespace else [])
    for binding in bindings:
        if any(_is(subject, user) for subject in binding.get("subjects") or ()):
            role = binding["roleRef"]
            places = objects(role["kind"], namespace if role["kind"] == "Role" else "")
            for candidate in places:
                if candidate["metadata"]["name"] == role["name"]:
                    yield from candidate.get("rules") or ()


def _is(subject: dict[str, Any], user: str) -> bool:
    if subject["kind"] == "ServiceAccount":
        return user == f"system:serviceaccount:{subject.get('namespace')}:{subject['name']}"
    if subject["kind"] == "User":
        return bool(subject["name"] == user)
    groups = {"system:authenticated"}
    if user.startswith("system:serviceaccount:"):
        groups |= {"system:serviceaccounts", f"system:serviceaccounts:{user.split(':')[2]}"}
    return subject["name"] in groups

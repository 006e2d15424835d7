"""Compare the permissions that manifests grant with the calls to a Kubernetes API."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple


@dataclass(frozen=True)
class Call:
    """A request that was answered. `resource` is a plural, with the subresource behind a slash (`pods/log`)."""

    user: str
    verb: str
    group: str
    resource: str
    namespace: str
    name: str
    status: int


class Right(NamedTuple):
    """A permission, or a call: `resource` is `pods`, `pods/log`, `taskruns.tekton.dev`."""

    user: str
    namespace: str
    verb: str
    resource: str


class Difference(NamedTuple):
    unused: set[Right]
    missing: set[Right]


def unused_and_missing(manifests: Iterable[Mapping[str, Any]], calls: Iterable[Call]) -> Difference:
    """Return the permissions that no call needed, and those that a call needed and no role grants.

    Only users with a call count, so that a run need not involve all of them. A wildcard counts as unused.

    Args:
        manifests: The Roles and RoleBindings; other kinds are ignored.
        calls: The calls of all users.
    """
    used = {Right(call.user, call.namespace, call.verb, _resource(call.resource, call.group)) for call in calls}
    users = {right.user for right in used}
    granted = {right for right in rights(manifests) if right.user in users}
    return Difference(unused=granted - used, missing=used - granted)


def rights(manifests: Iterable[Mapping[str, Any]]) -> Iterator[Right]:
    """Yield every permission that RoleBindings to Roles among the manifests grant to service accounts."""
    objects = list(manifests)
    roles = {_key(role): role for role in objects if role["kind"] == "Role"}
    for binding in objects:
        if binding["kind"] != "RoleBinding" or binding["roleRef"]["kind"] != "Role":
            continue
        namespace = binding["metadata"]["namespace"]
        for subject in binding["subjects"]:
            user = f"system:serviceaccount:{subject['namespace']}:{subject['name']}"
            for rule in roles[namespace, binding["roleRef"]["name"]]["rules"]:
                for group in rule["apiGroups"]:
                    for resource in rule["resources"]:
                        for verb in rule["verbs"]:
                            yield Right(user, namespace, verb, _resource(resource, group))


def _key(role: Mapping[str, Any]) -> tuple[str, str]:
    return role["metadata"]["namespace"], role["metadata"]["name"]


def _resource(resource: str, group: str) -> str:
    plural, slash, part = resource.partition("/")
    return (f"{plural}.{group}" if group else plural) + slash + part

"""The objects of the fake cluster, with their versions and the history that watches read."""

import base64
import copy
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from support.fake_kubernetes.kinds import BY_NAME
from support.fake_kubernetes.validation import problem

Resource = dict[str, Any]
Key = tuple[str, str, str]  # kind, namespace, name


class Refused(Exception):
    """What the API answers to a request that it does not carry out."""

    def __init__(self, code: int, reason: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.retry_after = retry_after


@dataclass(frozen=True)
class Change:
    """What happened to an object: ADDED, MODIFIED or DELETED; `object` is it afterwards, `before` it before."""

    type: str
    object: Resource
    before: Resource | None = None

    @property
    def version(self) -> int:
        return int(self.object["metadata"]["resourceVersion"])


class Store:
    """Safe for threads. Objects go in and come out as copies, but for those in `history`: do not change them."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.history: list[Change] = []  # the change that made version N is at N - 1
        self._objects: dict[Key, Resource] = {}

    @property
    def version(self) -> int:
        return len(self.history)

    def get(self, kind: str, namespace: str, name: str) -> Resource:
        with self.changed:
            return copy.deepcopy(self._get(kind, namespace, name))

    def _get(self, kind: str, namespace: str, name: str) -> Resource:
        try:
            return self._objects[kind, namespace, name]
        except KeyError:
            plural = BY_NAME[kind].plural
            group = BY_NAME[kind].group
            raise Refused(
                404, "NotFound", f'{plural}.{group} "{name}" not found' if group else f'{plural} "{name}" not found'
            ) from None

    def has(self, kind: str, namespace: str, name: str) -> bool:
        return (kind, namespace, name) in self._objects

    def list(self, kind: str, namespace: str = "") -> list[Resource]:
        """By namespace and name; a namespace of "" is all of them."""
        with self.changed:
            keys = sorted(key for key in self._objects if key[0] == kind and namespace in ("", key[1]))
            return [copy.deepcopy(self._objects[key]) for key in keys]

    def create(self, resource: Resource) -> Resource:
        with self.changed:
            made = as_stored(resource)
            metadata, kind = made["metadata"], made["kind"]
            if "name" not in metadata and "generateName" in metadata:
                metadata["name"] = metadata["generateName"] + uuid.uuid4().hex[:5]
            namespace = metadata.get("namespace", "")
            if namespace:
                self._get("Namespace", "", namespace)
            key = (kind, namespace, metadata.get("name", ""))
            if key in self._objects:
                raise Refused(409, "AlreadyExists", f'{BY_NAME[kind].plural} "{key[2]}" already exists')
            metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": _now(), "generation": 1}
            self._put(key, made, None)
            self._collect()
            return copy.deepcopy(made)

    def update(self, kind: str, namespace: str, name: str, change: Callable[[Resource], Resource | None]) -> Resource:
        """Replace an object by what `change` makes of a copy of it: it alters the copy, or returns another object."""
        with self.changed:
            before = self._get(kind, namespace, name)
            changed = copy.deepcopy(before)
            changed = as_stored(change(changed) or changed)
            for field in ("name", "namespace", "uid", "creationTimestamp"):
                if changed["metadata"].get(field) != before["metadata"].get(field):
                    raise Refused(422, "Invalid", f"metadata.{field}: field is immutable")
            if changed["metadata"].get("resourceVersion") != before["metadata"]["resourceVersion"]:
                raise Refused(
                    409, "Conflict", f'the object "{name}" has been modified; apply your changes to its latest'
                )
            if changed != before:
                if changed.get("spec") != before.get("spec"):
                    changed["metadata"]["generation"] = before["metadata"]["generation"] + 1
                self._put((kind, namespace, name), changed, before)
                self._collect()
            return copy.deepcopy(changed)

    def delete(self, kind: str, namespace: str, name: str) -> Resource:
        """Delete an object and, as the garbage collector would a little later, all that only it owned."""
        with self.changed:
            gone = self._get(kind, namespace, name)
            self._drop(gone)
            self._collect()
            return copy.deepcopy(gone)

    def _put(self, key: Key, resource: Resource, before: Resource | None) -> None:
        if resource["kind"] == "Secret":
            hidden = {name: base64.b64encode(text.encode()).decode() for name, text in _texts(resource)}
            if hidden:
                resource["data"] = resource.get("data", {}) | hidden
        resource["metadata"]["resourceVersion"] = str(self.version + 1)
        if wrong := problem(resource):
            raise Refused(422, "Invalid", f'{resource["kind"]} "{key[2]}" is invalid: {wrong}')
        self._objects[key] = resource
        self._happened(Change("MODIFIED" if before else "ADDED", resource, before))

    def _drop(self, resource: Resource) -> None:
        metadata = resource["metadata"]
        del self._objects[resource["kind"], metadata.get("namespace", ""), metadata["name"]]
        last = resource | {"metadata": metadata | {"resourceVersion": str(self.version + 1)}}
        self._happened(Change("DELETED", last, resource))

    def _happened(self, change: Change) -> None:
        self.history.append(change)
        self.changed.notify_all()

    def _collect(self) -> None:
        """Delete what has owners none of which exists. An owner in another namespace does not exist, for Kubernetes."""
        while lost := next(self._orphans(), None):
            self._drop(lost)

    def _orphans(self) -> Iterator[Resource]:
        places = {resource["metadata"]["uid"]: key[1] for key, resource in self._objects.items()}
        for (_, namespace, _), resource in self._objects.items():
            owners = resource["metadata"].get("ownerReferences") or ()
            if owners and not any(places.get(owner["uid"]) in ("", namespace) for owner in owners):
                yield resource


def as_stored(resource: Resource) -> Resource:
    """A copy of an object as the API stores and answers it: in its own kinds, lists without items are dropped."""
    kind = BY_NAME.get(resource["kind"])
    stored: Resource = copy.deepcopy(resource) if kind is None or kind.custom else _without_empty_lists(resource)
    return stored


def _without_empty_lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_empty_lists(part) for key, part in value.items() if part != []}
    return [_without_empty_lists(part) for part in value] if isinstance(value, list) else value


def _texts(secret: Resource) -> list[tuple[str, str]]:
    """A Secret's `stringData`, which the API takes and never gives."""
    return list((secret.pop("stringData", None) or {}).items())


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

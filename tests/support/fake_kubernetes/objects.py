"""What both controllers write into objects: times, names, conditions, states and events."""

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

Object = dict[str, Any]

#: The one node of the fake cluster.
NODE = "fake-node"


def now() -> str:
    """The time as Kubernetes writes it (RFC 3339, whole seconds)."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def key(thing: Object) -> tuple[str, str]:
    """Namespace and name."""
    return thing["metadata"]["namespace"], thing["metadata"]["name"]


def owned(owner: Object) -> list[Object]:
    """The reference by which a controller owns what it makes."""
    return [
        {
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]


def is_owned(thing: Object, owner: Object) -> bool:
    """Whether an object names another as an owner."""
    owners = thing["metadata"].get("ownerReferences", [])
    return any(reference["uid"] == owner["metadata"]["uid"] for reference in owners)


def matches(labels: dict[str, str], selector: dict[str, str]) -> bool:
    """Whether labels carry all that a selector of equalities asks for."""
    return selector.items() <= labels.items()


def condition(kind: str, status: str, reason: str = "", message: str = "") -> Object:
    """A condition that changed now; of reason and message, what is empty is left out."""
    detail = {"reason": reason, "message": message}
    return {"type": kind, "status": status, "lastTransitionTime": now()} | {
        key: detail[key] for key in detail if detail[key]
    }


def with_conditions(before: Iterable[Object], *changes: Object) -> list[Object]:
    """The conditions after changes; a status that stays keeps the time of its transition."""
    merged = {one["type"]: one for one in before}
    for change in changes:
        same = merged.get(change["type"], {})
        stays = same.get("status") == change["status"]
        merged[change["type"]] = change | ({"lastTransitionTime": same["lastTransitionTime"]} if stays else {})
    return list(merged.values())


def waiting(reason: str, message: str = "") -> Object:
    """The state of a container that was not started."""
    return {"waiting": {"reason": reason} | ({"message": message} if message else {})}


def running() -> Object:
    """The state of a container that was started now."""
    return {"running": {"startedAt": now()}}


def terminated(exit_code: int, reason: str, started: str, message: str = "") -> Object:
    """The state of a container that ended now."""
    ended = {"exitCode": exit_code, "reason": reason, "startedAt": started, "finishedAt": now()}
    return {"terminated": ended | ({"message": message} if message else {})}


def container_status(container: Object, state: Object, *, ready: bool = False, restarts: int = 0) -> Object:
    """The status of a container of a Pod."""
    return {
        "name": container["name"],
        "image": container["image"],
        "imageID": "" if "waiting" in state and not restarts else container["image"],
        "ready": ready,
        "restartCount": restarts,
        "state": state,
    }


def event(about: Object, kind: str, reason: str, message: str, component: str) -> Object:
    """An Event of core/v1; `kind` is Normal or Warning."""
    namespace, name = key(about)
    time = now()
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{name}.{uuid.uuid4().hex[:16]}", "namespace": namespace},
        "involvedObject": {
            "apiVersion": about["apiVersion"],
            "kind": about["kind"],
            "namespace": namespace,
            "name": name,
            "uid": about["metadata"]["uid"],
        },
        "type": kind,
        "reason": reason,
        "message": message,
        "count": 1,
        "firstTimestamp": time,
        "lastTimestamp": time,
        "source": {"component": component, "host": NODE},
    }


def started_at(state: Object) -> str:
    """When a container of a state was started; now, if it was not."""
    return str(state.get("running", state.get("terminated", {})).get("startedAt") or now())

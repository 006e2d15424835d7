"""What real servers recorded of TaskRuns and pods, one of each ending (Kubernetes 1.34.2, Tekton 1.6.0), shortened."""

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support.paths import SHARED

#: The complete records; optional.
COMPLETE = SHARED / "recorded/kubernetes"
_FILE = Path(__file__).parent / "recorded/builds.json"

Record = dict[str, Any]

#: The fields of an object that are kept, at any depth below its status; all others are times, IDs and mounts.
_KEPT = {
    *("conditions", "type", "status", "reason", "message", "phase", "podName", "steps", "container", "name"),
    *("containerStatuses", "initContainerStatuses", "state", "waiting", "running", "terminated", "exitCode"),
    "terminationReason",
}


def task_run(name: str) -> Record:
    """The TaskRun of an ending."""
    record: Record = _recorded()["TaskRun"][name]
    return record


def pod(name: str) -> Record | None:
    """A pod by its name; None for one that was gone."""
    record: Record | None = _recorded()["Pod"].get(name)
    return record


def events(pod_name: str) -> tuple[Record, ...]:
    """The events of a pod."""
    return tuple(event for event in _recorded()["Event"] if event["involvedObject"]["name"] == pod_name)


def read_shortened(kind: str, name: str) -> Any:
    """A record by its kind and name; all events for the kind Event."""
    return _recorded()[kind][name] if name else _recorded()[kind]


def task_runs() -> list[str]:
    """The names of all TaskRuns."""
    return list(_recorded()["TaskRun"])


def pods() -> list[str]:
    """The names of all pods."""
    return list(_recorded()["Pod"])


def read_complete() -> Iterator[tuple[str, str, Any]]:
    """Yield kind and name of each complete record, and what is left of it when it is shortened."""
    for kind in ("TaskRun", "Pod"):
        for path in sorted(COMPLETE.glob(f"{kind.lower()}.*.json")):
            record = json.loads(path.read_text())
            name = record["metadata"]["name"]
            yield kind, name, shorten(record)
    every = json.loads((COMPLETE / "events.json").read_text())["items"]
    yield "Event", "", [_shorten_event(event) for event in every if _is_about_a_pod(event)]


def shorten(record: Record) -> Record:
    """Leave out of an object what differs from one time to the next."""
    return {"metadata": {"name": record["metadata"]["name"]}, "status": _shorten(record["status"])}


@functools.cache
def _recorded() -> Record:
    recorded: Record = json.loads(_FILE.read_text())
    return recorded


def _shorten(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shorten(item) for key, item in value.items() if key in _KEPT}
    return [_shorten(item) for item in value] if isinstance(value, list) else value


def _is_about_a_pod(event: Record) -> bool:
    return event["involvedObject"]["kind"] == "Pod" and event["reason"] not in ("Pulled", "Created", "Started")


def _shorten_event(event: Record) -> Record:
    about = event["involvedObject"]
    kept = {"involvedObject": {"kind": about["kind"], "name": about["name"]}}
    return kept | {key: event[key] for key in ("type", "reason", "message", "count")}

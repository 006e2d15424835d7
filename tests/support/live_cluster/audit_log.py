"""The audit log of the Kubernetes API (audit.k8s.io/v1, one event a line, level Metadata or more)."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from support.rbac import Call


def read_calls(file: Path, since: datetime) -> Iterator[Call]:
    """Yield the requests for objects of a namespace since a moment."""
    with file.open() as lines:
        for line in lines:
            event = json.loads(line)
            reference = event.get("objectRef", {})
            received = datetime.fromisoformat(event["requestReceivedTimestamp"])
            # a request that runs on, such as a watch, has an event when it starts to answer, too
            if received < since or not reference.get("namespace") or event["stage"] == "ResponseStarted":
                continue
            parts = (reference["resource"], reference.get("subresource", ""))
            yield Call(
                user=event["user"]["username"],
                verb=event["verb"],
                group=reference.get("apiGroup", ""),
                resource="/".join(filter(None, parts)),
                namespace=reference["namespace"],
                name=reference.get("name", ""),
                status=event.get("responseStatus", {}).get("code", 0),
            )

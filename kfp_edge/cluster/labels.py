"""What marks everything that the line makes in a cluster: whose it is, of which run, and until when it may live."""

import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

MANAGED_BY = "app.kubernetes.io/managed-by"
COMPONENT = "app.kubernetes.io/component"
RUN = "kfp-edge.io/run"
EXPIRES = "kfp-edge.io/expires"
#: The annotation in which a build names what it keeps in the object store (`s3://BUCKET/KEY`).
CONTEXT = "kfp-edge.io/context"

Component = Literal["build", "staging"]

_NAME_LENGTH = 63


def labels(component: Component, run_id: str) -> dict[str, str]:
    """The labels of an object that a run makes; `run_id` is KFP's, or any label value that is unique to the run."""
    return {MANAGED_BY: "kfp-edge", COMPONENT: component, RUN: run_id}


def selector(wanted: Mapping[str, str]) -> str:
    """The label selector, as the API reads it, of objects that have all these labels."""
    return ",".join(f"{key}={value}" for key, value in wanted.items())


def expires(seconds: float) -> str:
    """The time in so many seconds, in UTC, as the annotation `EXPIRES` holds it (RFC 3339)."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def expired(resource: Mapping[str, Any]) -> bool:
    """Whether an object's time is over. One that says no time, or none that can be read, never expires."""
    text = (resource["metadata"].get("annotations") or {}).get(EXPIRES, "")
    try:
        until = datetime.fromisoformat(text)
    except ValueError:
        return False
    return until.tzinfo is not None and until <= datetime.now(UTC)


def run_name(prefix: str, run_id: str) -> str:
    """A name that no other object has: `PREFIX-RUN-RANDOM`, a DNS-1123 label of at most 63 characters.

    The run's first eight characters are for the reader; what makes the name unique is its random end.
    """
    end = "-".join(filter(None, (_dns(run_id)[:8].strip("-"), secrets.token_hex(4))))
    return f"{_dns(prefix)[: _NAME_LENGTH - len(end) - 1].strip('-')}-{end}"


def _dns(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")

"""Metadata of the objects that a run creates in a cluster: unique names, labels, and when they expire."""

import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal

from kfp_edge.kubernetes.objects import KubernetesObject

MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
COMPONENT_LABEL = "app.kubernetes.io/component"
#: The run that created the object.
RUN_LABEL = "kfp-edge.io/run"
#: When any run may delete the object, in UTC (RFC 3339).
EXPIRES_ANNOTATION = "kfp-edge.io/expires"
#: The build context in the object store that goes with the object (`s3://BUCKET/KEY`).
CONTEXT_ANNOTATION = "kfp-edge.io/context"

Component = Literal["build", "staging"]

_MAX_NAME_LENGTH = 63


def run_labels(component: Component, run_id: str) -> dict[str, str]:
    """Return the labels of an object that a run creates; `run_id` is KFP's, or any unique label value."""
    return {MANAGED_BY_LABEL: "kfp-edge", COMPONENT_LABEL: component, RUN_LABEL: run_id}


def label_selector(labels: Mapping[str, str]) -> str:
    """Return the label selector, as a query of the API, for objects that have all these labels."""
    return ",".join(f"{key}={value}" for key, value in labels.items())


def expiry_time(seconds: float) -> str:
    """Return the time in so many seconds, in UTC, as a value of `EXPIRES_ANNOTATION`."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def is_expired(resource: KubernetesObject) -> bool:
    """Whether an object has expired; never without a valid `EXPIRES_ANNOTATION`."""
    text = (resource["metadata"].get("annotations") or {}).get(EXPIRES_ANNOTATION, "")
    try:
        expiry = datetime.fromisoformat(text)
    except ValueError:
        return False
    return expiry.tzinfo is not None and expiry <= datetime.now(UTC)


def unique_name(prefix: str, run_id: str) -> str:
    """Return a unique name, `PREFIX-RUN-RANDOM`, a DNS label (RFC 1123) of at most 63 characters.

    It has the first eight characters of the run for the reader; the random suffix makes it unique.
    """
    suffix = "-".join(filter(None, (_dns_label(run_id)[:8].strip("-"), secrets.token_hex(4))))
    return f"{_dns_label(prefix)[: _MAX_NAME_LENGTH - len(suffix) - 1].strip('-')}-{suffix}"


def _dns_label(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")

"""What the API server checks before it stores an object: the strict schema of its kind, names, labels, selectors."""

import re
from collections.abc import Mapping
from typing import Any

import jsonschema

from support import schemas
from support.fake_kubernetes.kinds import BY_NAME

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_ROLE_NAME = re.compile(r"[^/%]+")
_SERVICE_NAME = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_LABEL_KEY = re.compile(r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")


def problem(resource: Mapping[str, Any]) -> str:
    """Return what is wrong with an object in the API server's words, empty if nothing is."""
    return _schema_problem(resource) or _metadata_problem(resource) or _selector_problem(resource)


def _schema_problem(resource: Mapping[str, Any]) -> str:
    if not BY_NAME[resource["kind"]].has_schema:
        return ""
    error = jsonschema.exceptions.best_match(schemas.errors(resource))
    if error is None:
        return ""
    # An API server does not show what a Secret holds, nor does its fake.
    message = error.validator if resource["kind"] == "Secret" else error.message
    return f"{error.json_path.removeprefix('$.')}: {message}"


def _metadata_problem(resource: Mapping[str, Any]) -> str:
    metadata, kind = resource["metadata"], resource["kind"]
    rule = _SERVICE_NAME if kind == "Service" else _ROLE_NAME if BY_NAME[kind].group.startswith("rbac.") else _NAME
    if not rule.fullmatch(metadata.get("name", "")):
        return f'metadata.name: Invalid value: "{metadata.get("name", "")}": must match {rule.pattern}'
    for key, value in (metadata.get("labels") or {}).items():
        if not _LABEL_KEY.fullmatch(key) or not _LABEL_VALUE.fullmatch(value):
            return f'metadata.labels: Invalid value: "{key}: {value}": not a valid label'
    return ""


def _selector_problem(resource: Mapping[str, Any]) -> str:
    if resource["kind"] not in {"Deployment", "ReplicaSet"}:
        return ""
    wanted = resource["spec"]["selector"].get("matchLabels", {})
    has = resource["spec"]["template"]["metadata"].get("labels", {})
    return "" if wanted.items() <= has.items() else "spec.template.metadata.labels: `selector` does not match them"

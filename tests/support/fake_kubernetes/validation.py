"""What the API checks before it stores an object: its kind's schema, strictly, and the rules of names and labels."""

import functools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
from referencing import Registry, Resource

from support import schemas
from support.fake_kubernetes.kinds import BY_NAME

CUSTOM = schemas.FOLDER
_CORE = (
    Path(kubernetes_validate.__file__).parent
    / "kubernetes-json-schema"
    / f"v{kubernetes_validate.latest_version()}-local-strict"
)
# Kinds whose schema is not among those at hand: only their names and labels are checked.
_UNKNOWN = {"Route"}

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_ROLE_NAME = re.compile(r"[^/%]+")
_SERVICE_NAME = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_LABEL_KEY = re.compile(r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")


def problem(resource: Mapping[str, Any]) -> str:
    """What is wrong with an object, in the API's manner; "" if nothing is."""
    return _schema_problem(resource) or _metadata_problem(resource) or _selector_problem(resource)


def _schema_problem(resource: Mapping[str, Any]) -> str:
    if resource["kind"] in _UNKNOWN:
        return ""
    error = jsonschema.exceptions.best_match(_validator(resource["kind"]).iter_errors(resource))
    if error is None:
        return ""
    # The API does not show what a Secret holds, nor does its fake.
    what = error.validator if resource["kind"] == "Secret" else error.message
    return f"{error.json_path.removeprefix('$.')}: {what}"


@functools.cache
def _validator(kind: str) -> Any:
    """Loaded once: the definitions of the core kinds alone are two megabytes."""
    about = BY_NAME[kind]
    if about.custom:
        group, _, version = about.version.partition("/")
        return jsonschema.Draft7Validator(json.loads((CUSTOM / f"{kind}_{group}_{version}.json").read_text()))
    version = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", about.version)
    schema = json.loads((_CORE / f"{kind.lower()}-{version}.json").read_text())
    return jsonschema.Draft202012Validator(schema, registry=Resource.from_contents(schema) @ _definitions())


@functools.cache
def _definitions() -> Registry[Any]:
    return (Resource.from_contents(json.loads((_CORE / "_definitions.json").read_text())) @ Registry()).crawl()


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

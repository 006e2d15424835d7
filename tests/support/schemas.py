"""Checks a Kubernetes object against the schema of its kind, offline."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest

from support.paths import SHARED

FOLDER = Path(os.environ.get("KFP_EDGE_SCHEMAS") or SHARED / "schemas")
_CORE_GROUPS = ("", "apps", "autoscaling", "batch", "policy")


def check(resource: Mapping[str, Any]) -> None:
    """Raise a ValidationError unless the object is what its kind allows; unknown fields are not allowed.

    Kinds of Kubernetes itself are checked by kubernetes-validate. Custom kinds are checked against
    `Kind_group_version.json` in the folder `KFP_EDGE_SCHEMAS`; without it, the test is skipped.
    """
    group, _, version = resource["apiVersion"].rpartition("/")
    if group in _CORE_GROUPS or group.endswith(".k8s.io"):
        kubernetes_validate.validate(dict(resource), kubernetes_validate.latest_version(), strict=True)
        return
    if not FOLDER.is_dir():
        pytest.skip(f"no JSON schemas of custom kinds in {FOLDER}; name their folder in KFP_EDGE_SCHEMAS")
    schema = json.loads((FOLDER / f"{resource['kind']}_{group}_{version}.json").read_text())
    jsonschema.Draft7Validator(schema).validate(dict(resource))

"""The logins of the project's Secrets, for what tests read outside of the cluster."""

import base64
import os
from collections.abc import Mapping
from pathlib import Path

from kfp_edge.kubernetes import Cluster
from support.live_cluster.settings import Settings

_DOCKER_CONFIG = ".dockerconfigjson"


def secret_values(cluster: Cluster, name: str) -> Mapping[str, str]:
    """Return the values of a Secret; empty if there is none."""
    secret = cluster.get("Secret", name) or {}
    return {key: base64.b64decode(value).decode() for key, value in (secret.get("data") or {}).items()}


def login_environment(cluster: Cluster, settings: Settings, folder: Path) -> dict[str, str]:
    """Return the variables with which object store and registry are read, where this shell does not have them."""
    variables: dict[str, str] = {}
    if not os.environ.get("AWS_ACCESS_KEY_ID"):
        values = secret_values(cluster, settings.secret("data_connection"))
        variables |= {name: value for name, value in values.items() if name.startswith("AWS_")}
    if not os.environ.get("REGISTRY_AUTH_FILE"):
        values = secret_values(cluster, settings.secret("registry_secret"))
        if _DOCKER_CONFIG in values:
            file = folder / "registry-login.json"
            file.touch(mode=0o600)
            file.write_text(values[_DOCKER_CONFIG])
            variables["REGISTRY_AUTH_FILE"] = str(file)
    return variables

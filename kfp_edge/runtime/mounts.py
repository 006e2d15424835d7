"""Secrets and certificates that a cluster mounts into the pod of a stage.

What is mounted is handed on through the variables that stages read on a laptop too; one that is set already wins.
`pipelines/_cluster_parameters.py` mounts, `deploy/openshift` holds templates of the Secrets and the ConfigMap.
"""

import os
from pathlib import Path

#: Where pipelines mount; the variable is for pods that are built by other means.
FOLDER = "/var/run/secrets/kfp-edge"
_VARIABLE = "KFP_EDGE_MOUNTS"

#: Folders under it: a Secret of type kubernetes.io/dockerconfigjson, one of kubernetes.io/basic-auth, a ConfigMap with
#: `ca-bundle.crt`, the name under which OpenShift gives its trusted certificates.
REGISTRY, GIT, CA = "registry", "git", "ca"

_FILES = {
    "REGISTRY_AUTH_FILE": f"{REGISTRY}/.dockerconfigjson",
    "KFP_EDGE_GIT_TOKEN_FILE": f"{GIT}/password",
    "KFP_EDGE_GIT_CA_FILE": f"{CA}/ca-bundle.crt",
    "AWS_CA_BUNDLE": f"{CA}/ca-bundle.crt",
    "REQUESTS_CA_BUNDLE": f"{CA}/ca-bundle.crt",
    "KFP_EDGE_REGISTRY_CERT_DIR": CA,
}


def set_environment_from_mounts() -> None:
    """Set the variables for what is mounted and not set yet; without mounts, as on a laptop, nothing happens."""
    folder = Path(os.environ.get(_VARIABLE) or FOLDER)
    for variable, name in _FILES.items():
        if (path := folder / name).exists():
            os.environ.setdefault(variable, str(path))
    if (user := folder / GIT / "username").is_file():
        os.environ.setdefault("KFP_EDGE_GIT_USERNAME", user.read_text().strip())

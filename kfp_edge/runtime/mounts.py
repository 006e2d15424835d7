"""Secrets and certificates that a pipeline mounts into the pod of a stage, as environment variables.

Stages read the same variables on a laptop; a variable that is set takes precedence over the mount.
`pipelines/_cluster_parameters.py` mounts, `deploy/openshift/secrets` has templates of the Secrets and the ConfigMap.
"""

import os
from pathlib import Path

#: The folder of all mounts; the variable is for pods that are created by other means.
MOUNT_ROOT = "/var/run/secrets/kfp-edge"
_VARIABLE = "KFP_EDGE_MOUNTS"

#: Its subfolders: Secrets of the types kubernetes.io/dockerconfigjson and kubernetes.io/basic-auth, Secrets with the
#: key `token`, and a ConfigMap with the key `ca-bundle.crt`, into which OpenShift injects its trusted certificates.
REGISTRY_MOUNT, GIT_MOUNT, FORGE_MOUNT, METRICS_MOUNT, CA_MOUNT = "registry", "git", "forge", "metrics", "ca"

#: Variables, each with what it names; of several for one variable, the first that is mounted.
_MOUNTED_FILES = (
    ("REGISTRY_AUTH_FILE", f"{REGISTRY_MOUNT}/.dockerconfigjson"),
    ("KFP_EDGE_GIT_TOKEN_FILE", f"{GIT_MOUNT}/password"),
    ("KFP_EDGE_GIT_CA_FILE", f"{CA_MOUNT}/ca-bundle.crt"),
    ("KFP_EDGE_FORGE_TOKEN_FILE", f"{FORGE_MOUNT}/token"),
    ("KFP_EDGE_METRICS_TOKEN_FILE", f"{METRICS_MOUNT}/token"),
    # a server inside the cluster has a certificate of the cluster's own CA, which the ConfigMap lacks
    ("KFP_EDGE_METRICS_CA_FILE", f"{METRICS_MOUNT}/ca.crt"),
    ("KFP_EDGE_METRICS_CA_FILE", f"{CA_MOUNT}/ca-bundle.crt"),
    ("AWS_CA_BUNDLE", f"{CA_MOUNT}/ca-bundle.crt"),
    ("REQUESTS_CA_BUNDLE", f"{CA_MOUNT}/ca-bundle.crt"),
    ("KFP_EDGE_REGISTRY_CERT_DIR", CA_MOUNT),
)


def set_environment_from_mounts() -> None:
    """Set the variables of everything that is mounted and not set yet; without mounts, as on a laptop, do nothing."""
    folder = Path(os.environ.get(_VARIABLE) or MOUNT_ROOT)
    for variable, name in _MOUNTED_FILES:
        if (path := folder / name).exists():
            os.environ.setdefault(variable, str(path))
    if (user := folder / GIT_MOUNT / "username").is_file():
        os.environ.setdefault("KFP_EDGE_GIT_USERNAME", user.read_text().strip())
    if (url := folder / METRICS_MOUNT / "url").is_file():
        os.environ.setdefault("KFP_EDGE_METRICS_URL", url.read_text().strip())

"""Where the Kubernetes API is and who we are there: a pod's service account, or a kubeconfig."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from kfp_edge.errors import KfpEdgeError

if TYPE_CHECKING:
    from kubernetes.client import Configuration

# The official client defines a thousand models, which takes longer to import than most stages need it:
# so it is imported by whoever connects.

_SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


@dataclass(frozen=True)
class ClusterCredentials:
    """How the API is reached, and the namespace that is meant where none is named."""

    configuration: "Configuration"
    namespace: str


def in_pod() -> bool:
    """Whether this process runs in a pod of Kubernetes and has a service account's token."""
    return "KUBERNETES_SERVICE_HOST" in os.environ and (_service_account() / "token").is_file()


def find_credentials() -> ClusterCredentials:
    """The pod's service account; outside of a pod, the current context of the kubeconfig.

    Raises:
        KfpEdgeError: there is neither, or the kubeconfig cannot be read.
    """
    access = _of_pod() if in_pod() else _of_kubeconfig()
    access.configuration.retries = False  # `Api` knows better what may be tried again
    return access


def _service_account() -> Path:
    return Path(os.environ.get("KFP_EDGE_SERVICE_ACCOUNT") or _SERVICE_ACCOUNT)


def _of_pod() -> ClusterCredentials:
    from kubernetes.client import Configuration

    folder = _service_account()
    ca = folder / "ca.crt"
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    # Only a folder that was named on purpose may stand for an API without TLS: the token is sent there.
    scheme = "http" if "KFP_EDGE_SERVICE_ACCOUNT" in os.environ and not ca.is_file() else "https"
    configuration = Configuration(host=f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}")
    configuration.ssl_ca_cert = str(ca) if ca.is_file() else None
    configuration.api_key_prefix["authorization"] = "Bearer"

    def read_token(configuration: "Configuration") -> None:
        """Read the token at every request: the kubelet replaces it while the pod runs."""
        configuration.api_key["authorization"] = (folder / "token").read_text(encoding="ascii").strip()

    read_token(configuration)
    configuration.refresh_api_key_hook = read_token
    return ClusterCredentials(configuration, (folder / "namespace").read_text(encoding="utf-8").strip())


def _of_kubeconfig() -> ClusterCredentials:
    from kubernetes.client import Configuration
    from kubernetes.config import ConfigException, list_kube_config_contexts, load_kube_config

    file = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    if not any(Path(part).is_file() for part in file.split(os.pathsep)):
        raise KfpEdgeError(
            f"no Kubernetes cluster is named: this is not a pod, and there is no kubeconfig {file}; "
            "log in with `oc login`, or name a kubeconfig in KUBECONFIG."
        )
    configuration = Configuration()
    try:
        _, context = list_kube_config_contexts(file)
        load_kube_config(file, client_configuration=configuration, persist_config=False)
    except (ConfigException, yaml.YAMLError):
        # their text may quote the whole entry of the user, token and all
        raise KfpEdgeError(
            f"the kubeconfig {file} cannot be read, or its current context is incomplete; log in again with `oc login`."
        ) from None
    return ClusterCredentials(configuration, context["context"].get("namespace") or "default")

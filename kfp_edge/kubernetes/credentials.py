"""The address of the Kubernetes API and our credentials: a pod's service account, or a kubeconfig."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from kfp_edge.errors import ParameterError

if TYPE_CHECKING:
    from kubernetes.client import Configuration

# Importing the official client, with its thousand models, takes longer than most stages run: it is imported when used.

_SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


@dataclass(frozen=True)
class ClusterCredentials:
    """How to reach the API, and the default namespace."""

    configuration: "Configuration"
    namespace: str


def in_pod() -> bool:
    """Whether this process runs in a pod with the token of a service account."""
    return "KUBERNETES_SERVICE_HOST" in os.environ and (_service_account_folder() / "token").is_file()


def find_credentials() -> ClusterCredentials:
    """Return the credentials of the pod's service account; outside a pod, of the kubeconfig's current context.

    Raises:
        ParameterError: there is neither, or the kubeconfig cannot be read.
    """
    credentials = _from_service_account() if in_pod() else _from_kubeconfig()
    credentials.configuration.retries = False  # `KubernetesApi` decides what may be retried
    return credentials


def _service_account_folder() -> Path:
    return Path(os.environ.get("KFP_EDGE_SERVICE_ACCOUNT") or _SERVICE_ACCOUNT)


def _from_service_account() -> ClusterCredentials:
    from kubernetes.client import Configuration

    folder = _service_account_folder()
    ca = folder / "ca.crt"
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    # the token is sent to this API, so only a folder that was set explicitly allows an API without TLS
    scheme = "http" if "KFP_EDGE_SERVICE_ACCOUNT" in os.environ and not ca.is_file() else "https"
    configuration = Configuration(host=f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}")
    configuration.ssl_ca_cert = str(ca) if ca.is_file() else None
    configuration.api_key_prefix["authorization"] = "Bearer"

    def read_token(configuration: "Configuration") -> None:
        """Read the token before every request, since the kubelet renews it while the pod runs."""
        configuration.api_key["authorization"] = (folder / "token").read_text(encoding="ascii").strip()

    read_token(configuration)
    configuration.refresh_api_key_hook = read_token
    return ClusterCredentials(configuration, (folder / "namespace").read_text(encoding="utf-8").strip())


def _from_kubeconfig() -> ClusterCredentials:
    from kubernetes.client import Configuration
    from kubernetes.config import ConfigException, list_kube_config_contexts, load_kube_config

    file = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    if not any(Path(part).is_file() for part in file.split(os.pathsep)):
        raise ParameterError(
            f"no Kubernetes cluster is configured: this is not a pod, and there is no kubeconfig {file}; "
            "log in with `oc login`, or set KUBECONFIG to a kubeconfig."
        )
    configuration = Configuration()
    try:
        _, context = list_kube_config_contexts(file)
        load_kube_config(file, client_configuration=configuration, persist_config=False)
    except (ConfigException, yaml.YAMLError):
        # not chained: the text may quote the user's entry with the token
        raise ParameterError(
            f"the kubeconfig {file} cannot be read, or its current context is incomplete; log in again with `oc login`."
        ) from None
    return ClusterCredentials(configuration, context["context"].get("namespace") or "default")

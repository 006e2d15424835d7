"""deploy/openshift for the tested project, or for one of its own."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from kfp_edge.errors import ClusterError
from support.live_cluster.kubectl import kubectl
from support.live_cluster.live_cluster import LiveCluster
from support.live_cluster.logins import secret_values
from support.manifests import OPENSHIFT

_PORTS = {"http": "80", "https": "443"}


@dataclass(frozen=True)
class Names:
    """What `names.yaml` of an overlay says."""

    project: str
    staging: str
    runner: str
    runtime_image: str
    registry_port: str
    storage_port: str

    @classmethod
    def discover(cls, live: LiveCluster, runtime_image: str) -> "Names":
        """Return the names of the tested project."""
        settings = live.settings
        store = secret_values(live.cluster, settings.secret("data_connection")).get("AWS_S3_ENDPOINT", "")
        return cls(
            project=settings.namespace,
            staging=settings.staging,
            runner=_runner(live),
            runtime_image=_installed_image(live) or runtime_image,
            registry_port=_port(str(settings.parameters["registry"]).replace("docker://", "https://")),
            storage_port=_port(store or "https://"),
        )

    def write(self, folder: Path) -> Path:
        """Copy deploy/openshift into a new folder, with an overlay for these names, and return the overlay."""
        shutil.copytree(OPENSHIFT, folder)
        overlay = folder / "overlays" / "test"
        shutil.copytree(folder / "overlays" / "example", overlay)
        names = yaml.safe_load((overlay / "names.yaml").read_text())
        names["data"] = {
            "project": self.project,
            "staging": self.staging,
            "runner": self.runner,
            "runtime-image": self.runtime_image,
            "registry-port": self.registry_port,
            "storage-port": self.storage_port,
        }
        (overlay / "names.yaml").write_text(yaml.safe_dump(names))
        return overlay


def apply_overlay(overlay: Path, *options: str) -> dict[str, str]:
    """Apply an overlay; return what kubectl says of each object: created, configured or unchanged."""
    lines = kubectl("apply", "-k", str(overlay), *options).splitlines()
    return {line.split()[0]: line.split()[1] for line in lines}


def _runner(live: LiveCluster) -> str:
    """Return the service account of runs: that of OpenShift AI's DSPA, else KFP's own default."""
    try:
        applications = live.cluster.list("DataSciencePipelinesApplication")
    except ClusterError:
        applications = []
    if len(applications) == 1:
        return f"pipeline-runner-{applications[0]['metadata']['name']}"
    return "pipeline-runner"


def _installed_image(live: LiveCluster) -> str:
    config_map = live.cluster.get("ConfigMap", "kfp-edge-images") or {}
    return str(config_map.get("data", {}).get("runtime", ""))


def _port(url: str) -> str:
    parts = urlsplit(url)
    return str(parts.port or _PORTS[parts.scheme])


def granted_manifests(user: str, namespace: str) -> list[dict[str, object]]:
    """Return what a service account may do in a namespace, whatever grants it, as a Role and its RoleBinding.

    Raises:
        KubectlError: the identity of the kubeconfig may not act as the account.
    """
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    answer = kubectl("create", "-f", "-", "-o", "json", "--validate=false", "--as", user, stdin=yaml.safe_dump(review))
    rules = json.loads(answer)["status"]["resourceRules"]
    _, _, account_namespace, account = user.split(":")
    metadata = {"name": "granted", "namespace": namespace}
    return [
        {"kind": "Role", "metadata": metadata, "rules": [rule for rule in rules if rule.get("resources")]},
        {
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"kind": "Role", "name": "granted"},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": account_namespace}],
        },
    ]

"""The Argo CD of the cluster, and a fleet on a branch of its own that it delivers to namespaces of this cluster."""

import base64
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from kfp_edge.fleet.contracts import Delivery, Site
from kfp_edge.fleet.documents import read_fleet
from kfp_edge.fleet.releases.ring_images import set_ring_image
from kfp_edge.fleet.repository.made_files import write_made_files
from kfp_edge.fleet.repository.new_repository import Agent, create_repository, new_site
from kfp_edge.fleet.sites.files import render_site
from kfp_edge.gitops.tree import Checkout
from kfp_edge.images.oci.references import ImageRef
from kfp_edge.storage.files import write_file
from support.live_cluster.gitops import GitOpsRepository
from support.live_cluster.kubectl import KubectlError, apply, can, kubectl

#: Where the manifests of the template put the objects of Argo CD.
_TEMPLATE_NAMESPACE = "openshift-gitops"
_SETTINGS = "argocd-cm"
_REFRESH = "argocd.argoproj.io/refresh=hard"
_REFRESH_SET = "argocd.argoproj.io/application-set-refresh=true"
PULL_SECRET = "site-registry"


def find_argo_cd() -> str:
    """Return the namespace of Argo CD; skip the tests where there is none, or it cannot be used."""
    try:
        found = json.loads(
            kubectl("get", "configmaps", "-A", "--field-selector", f"metadata.name={_SETTINGS}", "-ojson")
        )
        kubectl("get", "crd", "applicationsets.argoproj.io")
    except KubectlError as error:
        pytest.skip(f"the cluster has no Argo CD that this login sees: {error}")
    for each in found["items"]:
        namespace = str(each["metadata"]["namespace"])
        if can("create", "applicationsets.argoproj.io", namespace) and can("create", "secrets", namespace):
            return namespace
    pytest.skip("this login may not create an ApplicationSet and a Secret beside an Argo CD")


@dataclass(frozen=True)
class LiveFleet:
    """A fleet with the rings `canary` and `all`, whose sites are namespaces of this cluster."""

    name: str
    branch: str
    argo_cd: str
    repository: GitOpsRepository
    folder: Path
    model: str
    pull_login: str

    def create(self, image: ImageRef) -> None:
        """Write the files of the fleet, both rings with an image, and the sites that Argo CD has no window for."""
        self.repository.new_branch(self.branch, self.folder)
        create_repository(
            self.folder, self.repository.url, self.name, self.branch, ("canary", "all"), (Agent.HUB, Agent.SITE)
        )
        for ring in ("canary", "all"):
            self.release(ring, image)
        path = self.folder / "argocd/hub/kustomization.yaml"
        path.write_text(path.read_text().replace(_TEMPLATE_NAMESPACE, self.argo_cd))

    def release(self, ring: str, image: ImageRef) -> None:
        """Write an image into the file of a ring."""
        tree = Checkout(self.folder)
        self._write(set_ring_image(tree, read_fleet(tree), ring, self.model, image.repository, image.digest))

    def write_site(self, name: str, ring: str, namespace: str, **values: Any) -> None:
        """Write a site of this cluster, and what is made of all sites."""
        usual = new_site(name, ring, models=[self.model], namespace=namespace).model_dump(mode="json", by_alias=True)
        own = {"cluster": "in-cluster", "pullSecret": PULL_SECRET} | values
        if own.get("delivery") == Delivery.SITE:
            own["cluster"] = ""
        self._write(render_site(Site.model_validate(usual | own), {}))
        write_made_files(self.folder)

    def push(self, message: str) -> str:
        """Push what was written, let Argo CD look at once, and return the commit."""
        commit = self.repository.push_all(self.branch, self.folder, message)
        kubectl("-n", self.argo_cd, "annotate", "applicationset", self.name, _REFRESH_SET, "--overwrite")
        for site in self.applications():
            kubectl("-n", self.argo_cd, "annotate", "application", site, _REFRESH, "--overwrite")
        return commit

    def apply_hub(self) -> None:
        """Do what the README of the template says, with a login for the branch if Argo CD has none."""
        kubectl("apply", "-k", str(self.folder / "argocd/hub"))
        if not self._has_login():
            metadata = {"name": self.name, "labels": {"argocd.argoproj.io/secret-type": "repository"}}
            login = {"type": "git", "url": self.repository.url, **self.repository.login}
            secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": login}
            apply(secret, "-n", self.argo_cd)

    def prepare_namespace(self, namespace: str) -> None:
        """Create what the operator of a site creates: the Secret with the login of the registry."""
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": PULL_SECRET}}
        data = {".dockerconfigjson": self.pull_login}
        apply(secret | {"type": "kubernetes.io/dockerconfigjson", "stringData": data}, "-n", namespace)

    def remove(self) -> None:
        """Delete the objects of Argo CD."""
        for kind in ("applicationset", "appproject", "secret"):
            kubectl("-n", self.argo_cd, "delete", kind, self.name, "--ignore-not-found")

    def applications(self) -> list[str]:
        """Return the names of the Applications of the fleet."""
        found = json.loads(kubectl("-n", self.argo_cd, "get", "applications", "-o", "json"))["items"]
        return [str(each["metadata"]["name"]) for each in found if each["spec"]["project"] == self.name]

    def application(self, site: str) -> dict[str, Any]:
        """Return the Application of a site; empty if there is none."""
        return self._get("application", site, self.argo_cd)

    def errors(self) -> list[str]:
        """Return what the ApplicationSet says it cannot do."""
        status = self._get("applicationset", self.name, self.argo_cd).get("status", {})
        failed = [each for each in status.get("conditions", []) if (each["type"], each["status"]) == _FAILED]
        return [str(each["message"]) for each in failed]

    def running(self, namespace: str) -> str:
        """Return the image of the model in a namespace whose pods are ready; empty if none is."""
        deployment = self._get("deployment", self.model, namespace)
        status = deployment.get("status", {})
        is_ready = status.get("readyReplicas") == 1 and status.get("updatedReplicas") == 1
        is_seen = status.get("observedGeneration") == deployment.get("metadata", {}).get("generation")
        containers = deployment.get("spec", {}).get("template", {}).get("spec", {}).get("containers", [{}])
        return str(containers[0].get("image", "")) if is_ready and is_seen and status.get("replicas") == 1 else ""

    def _has_login(self) -> bool:
        selector = "argocd.argoproj.io/secret-type=repository"
        found = json.loads(kubectl("-n", self.argo_cd, "get", "secrets", "-l", selector, "-o", "json"))["items"]
        urls = [base64.b64decode(each.get("data", {}).get("url", "")).decode() for each in found]
        return self.repository.url in urls

    def _write(self, files: dict[str, bytes]) -> None:
        for path, data in files.items():
            write_file(self.folder / path, data)

    @staticmethod
    def _get(kind: str, name: str, namespace: str) -> dict[str, Any]:
        text = kubectl("-n", namespace, "get", kind, name, "--ignore-not-found", "-o", "yaml")
        return dict(yaml.safe_load(text) or {})


_FAILED = ("ErrorOccurred", "True")


def wait_until(condition: Callable[[], bool], seconds: float, describe: Callable[[], object] = lambda: "") -> None:
    """Wait for something that Argo CD or the kubelet does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, describe()
        time.sleep(2)

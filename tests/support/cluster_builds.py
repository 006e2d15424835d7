"""Builds in the cluster: a fake Kubernetes whose TaskRuns really run, a real object store and a real registry."""

import base64
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kfp_edge.components.containerize.containerize import containerize
from kfp_edge.images.oci.references import ImageRef, ImageRegistry
from kfp_edge.images.registry import copy_image, find_digest
from kfp_edge.kubernetes.objects import KubernetesObject
from kfp_edge.ml.bundle import Bundle
from support.fake_kubernetes import FakeKubernetes
from support.fake_kubernetes.tekton import Image, TektonController
from support.registry import RegistryServer
from support.s3 import S3Server

NAMESPACE = "ds-project"
USER = f"system:serviceaccount:{NAMESPACE}:pipeline-runner-dspa"
BUCKET = "builds"
BUILDER = "quay.io/kfp-edge-test/buildah@sha256:" + "0" * 64
RUN = "0b1c2d3e-1111-4222-8333-444455556666"


@dataclass
class BuildCluster:
    """A cluster with Tekton, an object store and a registry, as a build in the cluster uses them."""

    fake: FakeKubernetes
    tekton: TektonController
    store: S3Server
    registry: RegistryServer
    folder: Path

    @property
    def options(self) -> dict[str, Any]:
        return {
            "context": f"s3://{BUCKET}/contexts",
            "builder_image": BUILDER,
            "registry_secret": "registry-login",
            "ca_bundle": "registry-ca",
            "timeout": 120.0,
        }

    def push(self, base: ImageRef, name: str) -> ImageRef:
        """Push a base to the registry, from which the cluster pulls."""
        return copy_image(base, ImageRegistry.parse(self.registry.url).repository(name), "1.0")

    def set_login(self, auth_file: Path) -> None:
        """Let builds use the credentials of a containers-auth.json(5)."""
        data = {".dockerconfigjson": base64.b64encode(auth_file.read_bytes()).decode()}
        secret = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson", "data": data}
        self.fake.apply(secret | {"metadata": {"name": "registry-login", "namespace": NAMESPACE}})

    def list_contexts(self) -> list[str]:
        """The URIs of the build contexts in the object store."""
        objects = self.store.client().list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return [f"s3://{BUCKET}/{each['Key']}" for each in objects]

    def context_of(self, run: KubernetesObject) -> str:
        """The key in the bucket of the build context of a TaskRun."""
        secret = self.fake.store.get("Secret", NAMESPACE, run["metadata"]["name"])
        return str(secret["metadata"]["annotations"]["kfp-edge.io/context"].partition(f"{BUCKET}/")[2])

    def list_objects(self) -> list[KubernetesObject]:
        """The objects of builds that are in the cluster now."""
        objects = [each for kind in ("TaskRun", "Secret", "Pod") for each in self.fake.objects(kind)]
        return [each for each in objects if "kfp-edge.io/run" in each["metadata"].get("labels", {})]

    def list_states(self) -> list[KubernetesObject]:
        """Every state that an object of a build has been in."""
        history = [change.object for change in self.fake.store.history]
        return [each for each in history if "kfp-edge.io/run" in each["metadata"].get("labels", {})]

    def use_registry(self, registry: RegistryServer, monkeypatch: pytest.MonkeyPatch) -> None:
        """Remove all faults, and let this process and the builds use a registry."""
        self.tekton.images, self.tekton.fault, self.tekton.specific_reasons = {BUILDER: Image()}, None, False
        self.tekton.skipped_seconds = 0
        self.registry = registry
        self.set_login(registry.auth_file)
        ca = {"ca.crt": (registry.cert_dir / "ca.crt").read_text()}
        metadata = {"name": "registry-ca", "namespace": NAMESPACE}
        self.fake.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": ca})
        for name, value in registry.env.items():
            monkeypatch.setenv(name, value)


@dataclass
class FinishedBuild:
    """A build that succeeded: its image, its log, and its objects as they were at first and at last."""

    image: ImageRef
    log: str
    first: dict[str, KubernetesObject]
    last: dict[str, KubernetesObject]


def build(cluster: BuildCluster, bundle: Bundle, base: ImageRef, how: str = "auto", **options: Any) -> ImageRef:
    build_options = cluster.options | options
    return containerize(bundle.folder, cluster.registry.url, str(base), "def456", how, build_options, RUN)


def tag_of(cluster: BuildCluster, bundle: Bundle) -> str | None:
    candidates = ImageRegistry.parse(cluster.registry.url).candidates("tiny")
    return find_digest(candidates, f"{bundle.manifest.version}-{bundle.digest[:12]}")


def start_build(cluster: BuildCluster, bundle: Bundle, base: ImageRef) -> subprocess.Popen[bytes]:
    """Start a build in a process of its own."""
    script = f"""
        from pathlib import Path
        from kfp_edge.components.containerize.containerize import containerize
        from kfp_edge.runtime.stage import stage
        with stage("containerize"):
            containerize(
                Path({str(bundle.folder)!r}), {cluster.registry.url!r}, {str(base)!r}, "", "tekton",
                {cluster.options!r}, {RUN!r}
            )
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        # a killed process leaves its temporary files
        env={**os.environ, "TMPDIR": str(cluster.folder)},
    )


def wait_for_state(changes: Iterator[Any], reached: Callable[[KubernetesObject], object]) -> str:
    """Wait for a state of an object that a build creates from now on, and return its name."""
    for change in changes:
        metadata = change.object["metadata"]
        if "kfp-edge.io/run" in metadata.get("labels", {}) and reached(change.object):
            return str(metadata["name"])
    raise AssertionError("the fake stopped")


def interrupt_build(
    cluster: BuildCluster,
    bundle: Bundle,
    base: ImageRef,
    kind: str,
    reached: Callable[[KubernetesObject], object],
    signum: signal.Signals,
) -> tuple[str, int]:
    """Send a signal to a build once an object of it is in a state; return the object's name and the exit code."""
    changes = cluster.fake.events(kind)
    process = start_build(cluster, bundle, base)
    name = wait_for_state(changes, reached)
    process.send_signal(signum)
    return name, process.wait()


class on_first_object:
    """While the block runs, act on the first object of a kind that a build creates."""

    def __init__(self, fake: FakeKubernetes, kind: str, action: Callable[[KubernetesObject], object]) -> None:
        changes = fake.events(kind)

        def watch() -> None:
            for change in changes:
                if "kfp-edge.io/run" in change.object["metadata"].get("labels", {}):
                    action(change.object)
                    return

        self._thread = threading.Thread(target=watch)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._thread.join()


def replace_link(fake: FakeKubernetes, secret: KubernetesObject, url: str) -> None:
    def change(now: KubernetesObject) -> None:
        now.pop("stringData", None)
        now["data"] = {"url": base64.b64encode(url.encode()).decode()}

    fake.update("Secret", NAMESPACE, secret["metadata"]["name"], change)

"""The whole pipeline through the backends of a cluster: only the API is a fake.

Buildah builds in the steps of a TaskRun, podman runs the candidate behind a Service, images go through a registry with
TLS and a login, the build context through an S3 server; the rights are those of deploy/openshift.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from kfp_edge.images.oci.references import ImageRef, ImageRegistry
from kfp_edge.images.registry import copy_image, find_digest
from support.fake_kubernetes import FakeKubernetes
from support.fake_kubernetes.tekton import Image, TektonController
from support.fake_kubernetes.workloads import WorkloadController
from support.git_repositories import git
from support.images import last_layer, members, platform_images, serving_image
from support.manifests import OPENSHIFT, rendered
from support.rbac import Call, unused_and_missing
from support.registry import PASSWORD, RegistryServer, registry_server
from support.s3 import S3Server, s3_server

pytestmark = [
    pytest.mark.containers,
    pytest.mark.xdist_group(__name__),
    pytest.mark.root,
]

PROJECT, STAGING = "ds-project", "edge-staging"
RUNNER = f"system:serviceaccount:{PROJECT}:pipeline-runner-dspa"
BUILDER = "quay.io/kfp-edge-test/buildah@sha256:" + "0" * 64
BUCKET = "builds"
CREATED_KINDS = ("TaskRun", "Secret", "Deployment", "Service", "ReplicaSet", "Pod")


@dataclass(frozen=True)
class PreparedCluster:
    """A cluster as a platform engineer prepared it, and a folder to run in."""

    fake: FakeKubernetes
    registry: RegistryServer
    store: S3Server
    serving: ImageRef
    mounts: Path
    folder: Path

    @property
    def parameters(self) -> dict[str, Any]:
        return {
            "data": "synthetic:ai4i?rows=2000&seed=0",
            "registry": self.registry.url,
            "serving_image": str(self.serving),
            # How fast a busy machine answers is not what is tested.
            "max_latency_ms": 1000.0,
            "staging_max_latency_ms": 1000.0,
            "build_options": {
                "context": f"s3://{BUCKET}/contexts",
                "builder_image": BUILDER,
                "service_account": "kfp-edge-build",
                "registry_secret": "kfp-edge-registry",
                "ca_bundle": "kfp-edge-ca",
                "timeout": 120,
            },
            "staging_options": {
                "namespace": STAGING,
                "service_account": "kfp-edge-candidate",
                "pull_secret": "kfp-edge-registry",
            },
        }

    def environment(self) -> dict[str, str]:
        """Return the environment of a pipeline's pod, with the data connection and the mounted Secrets."""
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "KFP_EDGE_REG"))}
        plain.pop("REGISTRY_AUTH_FILE", None)
        return plain | self.store.env | self.fake.pod(RUNNER, PROJECT) | {"KFP_EDGE_MOUNTS": str(self.mounts)}

    def start(self, out: str, parameters: Mapping[str, Any]) -> "subprocess.Popen[str]":
        (self.folder / f"{out}.yaml").write_text(yaml.safe_dump({**self.parameters, **parameters}))
        program = Path(sys.executable).with_name("kfp-edge")
        command = [program, "run", "edge_mlops", "--params", f"{out}.yaml", "--out", out]
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def run(self, out: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        with self.start(out, parameters) as process:
            _, stderr = process.communicate(timeout=600)
        summary: dict[str, Any] = json.loads((self.folder / out / "summary.json").read_text())
        assert process.returncode == (summary["status"] != "succeeded"), stderr + self.log(out)
        return summary

    def log(self, out: str) -> str:
        return (self.folder / out / "logs/run.log").read_text()

    def leftover_objects(self) -> list[str]:
        objects = [(kind, each["metadata"]) for kind in CREATED_KINDS for each in self.fake.objects(kind)]
        return [f"{kind} {meta['name']}" for kind, meta in objects if "kfp-edge.io/run" in meta.get("labels", {})]

    def stored_objects(self) -> list[str]:
        return [each["Key"] for each in self.store.client().list_objects_v2(Bucket=BUCKET).get("Contents", [])]


@pytest.fixture(scope="module")
def manifests() -> list[dict[str, Any]]:
    return rendered(OPENSHIFT / "overlays/example")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, manifests: list[dict[str, Any]]) -> Iterator[PreparedCluster]:
    folder = tmp_path_factory.mktemp("cluster")
    with registry_server(folder / "registry") as registry, s3_server(folder / "s3") as store:
        store.client().create_bucket(Bucket=BUCKET)
        controllers = [TektonController({BUILDER: Image()}), WorkloadController(registry.cert_dir)]
        with FakeKubernetes(folder / "kubernetes", roles=manifests, controllers=controllers) as fake:
            mounts = _mounts(folder / "mounts", registry)
            _create_secrets(fake, registry)
            with pytest.MonkeyPatch.context() as patched:
                for name, value in registry.env.items():
                    patched.setenv(name, value)
                serving = copy_image(serving_image(), ImageRegistry.parse(registry.url).repository("serving"), "1.0")
            (folder / "work").mkdir()
            yield PreparedCluster(fake, registry, store, serving, mounts, folder / "work")


def _mounts(folder: Path, registry: RegistryServer) -> Path:
    for name in ("registry", "ca"):
        (folder / name).mkdir(parents=True)
    shutil.copy(registry.auth_file, folder / "registry/.dockerconfigjson")
    shutil.copy(registry.cert_dir / "ca.crt", folder / "ca/ca-bundle.crt")
    return folder


def _create_secrets(fake: FakeKubernetes, registry: RegistryServer) -> None:
    """Create what the templates of deploy/openshift/secrets describe."""
    for namespace in (PROJECT, STAGING):
        fake.apply(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "kfp-edge-registry", "namespace": namespace},
                "type": "kubernetes.io/dockerconfigjson",
                "stringData": {".dockerconfigjson": registry.auth_file.read_text()},
            }
        )
    fake.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "kfp-edge-ca", "namespace": PROJECT},
            "data": {"ca-bundle.crt": (registry.cert_dir / "ca.crt").read_text()},
        }
    )


@pytest.fixture(scope="module")
def built_by_tekton(cluster: PreparedCluster) -> dict[str, Any]:
    return cluster.run("tekton", {})


@pytest.fixture(scope="module")
def built_by_append(cluster: PreparedCluster) -> dict[str, Any]:
    return cluster.run("append", {"build": "append"})


def test_in_a_pod_the_pipeline_builds_with_tekton_tests_in_kubernetes_and_ends_in_a_commit(
    cluster: PreparedCluster, built_by_tekton: dict[str, Any]
) -> None:
    assert built_by_tekton["status"] == "succeeded"
    image = ImageRef.parse(built_by_tekton["image"]["reference"])
    repository = cluster.folder / ".kfp-edge/gitops.git"
    assert image.digest in git(repository, "show", built_by_tekton["git"]["commit"])
    kinds = {change.object["kind"] for change in cluster.fake.store.history}
    assert {"TaskRun", "Deployment", "Service"} <= kinds


def test_the_registry_has_what_was_released(
    cluster: PreparedCluster, built_by_tekton: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in cluster.registry.env.items():
        monkeypatch.setenv(name, value)
    image = ImageRef.parse(built_by_tekton["image"]["reference"])
    assert find_digest(image.home, "0.1.0") == image.digest


def test_nothing_of_the_run_is_left_in_the_cluster_or_in_the_object_store(
    cluster: PreparedCluster, built_by_tekton: dict[str, Any], built_by_append: dict[str, Any]
) -> None:
    assert cluster.leftover_objects() == []
    assert cluster.stored_objects() == []


def test_tekton_and_append_put_the_same_files_into_the_image(
    cluster: PreparedCluster,
    built_by_tekton: dict[str, Any],
    built_by_append: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in cluster.registry.env.items():
        monkeypatch.setenv(name, value)
    tekton, append = (
        [
            members(last_layer(image))
            for image in platform_images(ImageRef.parse(summary["image"]["reference"]), tmp_path / name)
        ]
        for name, summary in (("tekton", built_by_tekton), ("append", built_by_append))
    )
    assert tekton == append


def test_the_log_of_the_build_is_in_the_log_of_the_run(
    cluster: PreparedCluster, built_by_tekton: dict[str, Any]
) -> None:
    assert "COPY" in cluster.log("tekton")


def test_no_secret_is_in_what_the_runs_wrote(
    cluster: PreparedCluster, built_by_tekton: dict[str, Any], built_by_append: dict[str, Any]
) -> None:
    written = [path for out in ("tekton", "append") for path in (cluster.folder / out).rglob("*") if path.is_file()]
    for secret in (PASSWORD, cluster.store.secret_key, "X-Amz-Signature"):
        assert [path for path in written if secret.encode() in path.read_bytes()] == []


def test_a_candidate_that_fails_is_not_released_and_leaves_nothing(cluster: PreparedCluster) -> None:
    summary = cluster.run("slow", {"model_name": "too-slow", "staging_options": _tight(cluster)})
    assert summary["status"] == "failed"
    assert summary["image"] is None
    assert cluster.leftover_objects() == []
    assert cluster.stored_objects() == []


def _tight(cluster: PreparedCluster) -> dict[str, Any]:
    """Staging options under which no candidate can start."""
    return {**cluster.parameters["staging_options"], "memory": "4Mi"}


def test_an_interrupted_run_cancels_its_build_and_leaves_nothing(cluster: PreparedCluster) -> None:
    builds = sum((call.verb, call.resource) == ("create", "taskruns") for call in cluster.fake.requests)
    with cluster.start("interrupted", {}) as process:
        cluster.fake.wait_for_request("create", "taskruns", times=builds + 1)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    assert ("patch", "taskruns") in {(call.verb, call.resource) for call in cluster.fake.requests}
    assert cluster.leftover_objects() == []
    assert cluster.stored_objects() == []


def test_the_roles_grant_exactly_the_permissions_that_the_runs_above_used(
    cluster: PreparedCluster,
    manifests: list[dict[str, Any]],
    built_by_tekton: dict[str, Any],
    built_by_append: dict[str, Any],
) -> None:
    calls: list[Call] = [call for call in cluster.fake.requests if call.user == RUNNER]
    assert [call for call in calls if call.status == 403] == []
    found = unused_and_missing(manifests, calls)
    assert (found.missing, found.unused) == (set(), set())

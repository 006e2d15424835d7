"""A bundle and a base of a few bytes, and a cluster that builds."""

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kfp_edge.components.containerize.containerize import containerize
from kfp_edge.images.oci.references import ImageRef
from kfp_edge.ml.bundle import Bundle
from support.bundles import tiny_bundle
from support.cluster_builds import BUCKET, BUILDER, NAMESPACE, USER, BuildCluster, FinishedBuild
from support.fake_kubernetes import FakeKubernetes
from support.fake_kubernetes.tekton import Image, TektonController
from support.images import tiny_base
from support.registry import RegistryServer
from support.s3 import S3Server, s3_server


@pytest.fixture(autouse=True)
def _no_source_date_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return tiny_bundle(tmp_path / "bundle", version=f"1-{tmp_path.parent.name}-{tmp_path.name}"[:60])


@pytest.fixture
def base(tmp_path: Path) -> ImageRef:
    return tiny_base(tmp_path / "base")


@pytest.fixture(scope="module")
def context_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        server.client().create_bucket(Bucket=BUCKET)
        yield server


@pytest.fixture(scope="module")
def shared_cluster(
    context_store: S3Server,
    registry_server: RegistryServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[BuildCluster]:
    """This process is in a pod of a cluster, which reaches the store and the registry."""
    folder = tmp_path_factory.mktemp("cluster")
    controller = TektonController({BUILDER: Image()})
    with (
        FakeKubernetes(folder / "kubernetes", controllers=[controller]) as fake,
        pytest.MonkeyPatch.context() as monkeypatch,
    ):
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        for name in ("SOURCE_DATE_EPOCH", "KFP_EDGE_SERVING_IMAGE", "KFP_POD_NAME"):
            monkeypatch.delenv(name, raising=False)
        for name, value in (context_store.env | fake.pod(USER, NAMESPACE)).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("KFP_EDGE_CACHE", str(folder / "cache"))
        yield BuildCluster(fake, controller, context_store, registry_server, folder)


@pytest.fixture
def cluster(
    shared_cluster: BuildCluster, registry_server: RegistryServer, monkeypatch: pytest.MonkeyPatch
) -> BuildCluster:
    shared_cluster.use_registry(registry_server, monkeypatch)
    return shared_cluster


@pytest.fixture
def pushed_base(cluster: BuildCluster, tmp_path: Path) -> ImageRef:
    return cluster.push(tiny_base(tmp_path / "base"), "tiny-base")


@pytest.fixture(scope="module")
def finished(
    shared_cluster: BuildCluster, registry_server: RegistryServer, tmp_path_factory: pytest.TempPathFactory
) -> FinishedBuild:
    folder = tmp_path_factory.mktemp("finished")
    log = io.StringIO()
    with pytest.MonkeyPatch.context() as monkeypatch, contextlib.redirect_stdout(log):
        shared_cluster.use_registry(registry_server, monkeypatch)
        base = shared_cluster.push(tiny_base(folder / "base"), "tiny-base")
        tolerations = [{"key": "builds", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60.0}]
        options = shared_cluster.options | {
            "node_selector": {"disk": "fast"},
            "tolerations": tolerations,
            "cpu": "500m",
        }
        bundle = tiny_bundle(folder / "bundle", version="1-finished")
        image = containerize(
            bundle.folder, shared_cluster.registry.url, str(base), build_options=options, run_id="the-run"
        )
    states = [
        each for each in shared_cluster.list_states() if each["metadata"]["labels"]["kfp-edge.io/run"] == "the-run"
    ]
    first = {each["kind"]: each for each in reversed(states)}
    return FinishedBuild(image, log.getvalue(), first, {each["kind"]: each for each in states})

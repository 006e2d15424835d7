"""A candidate is tested in a cluster: the API is a fake, container and network are real."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kfp_edge.components.clean_up.clean_up import clean_up
from kfp_edge.components.containerize.containerize import containerize
from kfp_edge.components.staging_test.run import staging_test
from kfp_edge.errors import KfpEdgeError
from kfp_edge.images.oci.references import ImageRef
from kfp_edge.ml.bundle import Bundle
from support.bundles import tiny_bundle
from support.fake_kubernetes import FakeKubernetes
from support.fake_kubernetes.workloads import Fault, WorkloadController
from support.images import serving_image, serving_image_that
from support.rbac import Call
from support.registry import RegistryServer, registry_server
from support.staging import ANSWERS, CRASHES, HANGS, STOPS_BADLY, results, wait_for

pytestmark = [pytest.mark.containers, pytest.mark.xdist_group(__name__)]

USER = "system:serviceaccount:ds-project:pipeline-runner-dspa"
STAGING = "edge-staging"
OPTIONS = {"namespace": STAGING, "pull_secret": "registry"}
RUN = "5b0e7c3a-run"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    with registry_server(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return tiny_bundle(tmp_path / "bundle", version=f"1-{tmp_path.parent.name}-{tmp_path.name}"[:60])


@pytest.fixture
def report(tmp_path: Path) -> Path:
    return tmp_path / "report.md"


@pytest.fixture
def node(server: RegistryServer) -> WorkloadController:
    return WorkloadController(server.cert_dir)


@pytest.fixture
def cluster(
    tmp_path: Path, node: WorkloadController, server: RegistryServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FakeKubernetes]:
    """A cluster with a login for the registry in the staging namespace, and this process in a pod of the project."""
    with FakeKubernetes(tmp_path, controllers=[node]) as fake:
        fake.apply(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "registry", "namespace": STAGING},
                "type": "kubernetes.io/dockerconfigjson",
                "stringData": {".dockerconfigjson": server.auth_file.read_text()},
            }
        )
        for name, value in {**server.env, **fake.pod(USER, "ds-project")}.items():
            monkeypatch.setenv(name, value)
        yield fake


@pytest.fixture
def good(bundle: Bundle, server: RegistryServer, cluster: FakeKubernetes) -> ImageRef:
    return pushed(bundle, server, serving_image())


def pushed(bundle: Bundle, server: RegistryServer, base: ImageRef) -> ImageRef:
    return containerize(bundle.folder, server.url, str(base), build="append")


def stage(image: ImageRef, bundle: Bundle, report: Path, options: dict[str, Any] = OPTIONS, **more: Any) -> None:
    staging_test(image, bundle.folder, report, staging_options=options, run_id=RUN, **more)


def in_staging(kind: str, **spec: Any) -> dict[str, Any]:
    metadata = {"name": "small", "namespace": STAGING}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": spec}


def remaining(cluster: FakeKubernetes) -> list[str]:
    kinds = ("Deployment", "Service", "ReplicaSet", "Pod")
    return [f"{kind} {one['metadata']['name']}" for kind in kinds for one in cluster.objects(kind, STAGING)]


class TestAGoodCandidate:
    def test_passes_every_check_in_the_cluster_and_leaves_nothing(
        self, good: ImageRef, bundle: Bundle, report: Path, cluster: FakeKubernetes
    ) -> None:
        stage(good, bundle, report)
        check_results = results(report)
        assert set(check_results.values()) == {"passed"}
        assert {"pod", "liveness", "metadata", "samples", "refuses: not JSON", "clean stop"} <= check_results.keys()
        assert "ended with exit code 0 after" in report.read_text()
        assert remaining(cluster) == []

    def test_is_tested_in_podman_if_the_parameter_says_so(
        self, good: ImageRef, bundle: Bundle, report: Path, cluster: FakeKubernetes
    ) -> None:
        stage(good, bundle, report, staging="podman")
        assert cluster.requests == []
        assert "pod" not in results(report)

    def test_passes_despite_transient_errors_at_every_step(
        self, good: ImageRef, bundle: Bundle, report: Path, cluster: FakeKubernetes
    ) -> None:
        for verb, resource in (
            *(("create", "deployments"), ("create", "services"), ("get", "services"), ("list", "pods")),
            *(("get", "pods"), ("get", "pods/log"), ("patch", "deployments"), ("delete", "deployments")),
        ):
            cluster.fail(verb, resource, 500)
        cluster.fail("*", "*", 429, times=2, retry_after=0)
        cluster.fail("watch", "pods", 503)
        stage(good, bundle, report)
        assert remaining(cluster) == []

    def test_passes_although_every_watch_drops(
        self, good: ImageRef, bundle: Bundle, report: Path, cluster: FakeKubernetes
    ) -> None:
        cluster.drop_watches()  # the log
        with whenever(cluster, "watch", "pods", cluster.drop_watches):
            stage(good, bundle, report)
        assert remaining(cluster) == []

    def test_passes_although_our_token_expires_while_it_starts(
        self, good: ImageRef, bundle: Bundle, report: Path, cluster: FakeKubernetes
    ) -> None:
        with whenever(cluster, "create", "services", lambda: cluster.expire_token(USER)):
            stage(good, bundle, report)
        assert remaining(cluster) == []


class TestABadCandidate:
    @pytest.mark.parametrize(
        ("program", "sentence", "logged"),
        [
            (CRASHES, r"pod was not met: measured the container ended with exit code 1", "the model cannot be loaded"),
            (
                ANSWERS.format(status=503),
                r"the container runs and is not ready; Readiness probe failed: .*, required ready within 15 s",
                '"GET /v2/health/ready',
            ),
            (ANSWERS.format(status=200), r"metadata was not met: ", "POST /v2/models/tiny"),
            (STOPS_BADLY, r"clean stop was not met: measured ended with exit code 4", "stopped"),
        ],
        ids=["crashes", "never ready", "answers nonsense", "stops with an error"],
    )
    def test_fails_with_a_sentence_and_its_log_in_the_report(
        self,
        bundle: Bundle,
        report: Path,
        server: RegistryServer,
        cluster: FakeKubernetes,
        program: str,
        sentence: str,
        logged: str,
    ) -> None:
        with serving_image_that(program) as base:
            image = pushed(bundle, server, base)
            with pytest.raises(KfpEdgeError, match=sentence):
                stage(image, bundle, report, startup_timeout=15)
        assert logged in report.read_text()
        assert remaining(cluster) == []

    def test_of_another_bundle_fails(self, good: ImageRef, report: Path, tmp_path: Path, bundle: Bundle) -> None:
        other = tiny_bundle(tmp_path / "other", version=bundle.manifest.version, offset=1.0)
        with pytest.raises(KfpEdgeError, match="made from the bundle"):
            stage(good, other, report)


class TestAClusterThatCannotRunIt:
    """The error has the reason that Kubernetes reports, and nothing is left."""

    def test_says_why_the_image_cannot_be_pulled(
        self, good: ImageRef, bundle: Bundle, report: Path, cluster: FakeKubernetes
    ) -> None:
        with pytest.raises(KfpEdgeError, match="the image cannot be pulled: .*pull_secret.*authentication required"):
            stage(good, bundle, report, {"namespace": STAGING}, startup_timeout=5)
        assert remaining(cluster) == []

    @pytest.mark.parametrize(
        ("fault", "sentence"),
        [
            (Fault.UNSCHEDULABLE, "no node can run the pod: 0/"),
            (Fault.QUOTA, "the namespace refuses the pod: the ResourceQuota staging is used up: limits.memory"),
            (Fault.NEVER_READY, "the container runs and is not ready; Readiness probe failed"),
        ],
        ids=lambda value: value.name.lower() if isinstance(value, Fault) else "",
    )
    def test_says_why_the_pod_is_not_ready(
        self,
        good: ImageRef,
        bundle: Bundle,
        report: Path,
        cluster: FakeKubernetes,
        node: WorkloadController,
        fault: Fault,
        sentence: str,
    ) -> None:
        node.fault = fault
        with pytest.raises(KfpEdgeError, match=f"pod was not met: measured {sentence}"):
            stage(good, bundle, report, startup_timeout=10)
        assert results(report) == {"made from the bundle": "passed", "pod": "failed"}
        assert remaining(cluster) == []

    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            ({"service_account": "nobody"}, "there is no service account nobody in the namespace edge-staging"),
            ({"cpu": "4"}, "a LimitRange does not allow it: maximum cpu usage per Container is 2, but limit is 4"),
            ({"memory": "2Gi"}, "the ResourceQuota small can never allow it: limits.memory 2Gi asked for, 1Gi allowed"),
        ],
        ids=["service account", "limit range", "quota"],
    )
    def test_says_at_once_why_there_can_be_no_pod(
        self,
        good: ImageRef,
        bundle: Bundle,
        report: Path,
        cluster: FakeKubernetes,
        options: dict[str, str],
        sentence: str,
    ) -> None:
        cluster.apply(in_staging("LimitRange", limits=[{"type": "Container", "max": {"cpu": "2"}}]))
        cluster.apply(in_staging("ResourceQuota", hard={"limits.memory": "1Gi"}))
        with pytest.raises(KfpEdgeError, match=f"the namespace refuses the pod: {sentence}"):
            stage(good, bundle, report, OPTIONS | options, startup_timeout=3600)
        assert remaining(cluster) == []

    def test_says_that_a_quota_allows_no_more_services(
        self, good: ImageRef, bundle: Bundle, report: Path, cluster: FakeKubernetes
    ) -> None:
        cluster.apply(in_staging("ResourceQuota", hard={"services": "0"}))
        with pytest.raises(
            KfpEdgeError,
            match="the namespace edge-staging refuses our request to create services: the ResourceQuota small can "
            "never allow it: services 1 asked for, 0 allowed",
        ):
            stage(good, bundle, report)
        assert remaining(cluster) == []

    def test_is_waited_for_while_it_may_recover(
        self, good: ImageRef, bundle: Bundle, report: Path, cluster: FakeKubernetes, node: WorkloadController
    ) -> None:
        node.fault = Fault.QUOTA

        def free() -> None:
            node.fault = None

        with whenever(cluster, "get", "deployments", free):
            stage(good, bundle, report)
        assert results(report)["pod"] == "passed"

    def test_names_a_possible_reason_why_a_ready_pod_does_not_respond(
        self, good: ImageRef, bundle: Bundle, report: Path, cluster: FakeKubernetes
    ) -> None:
        def change_cluster_ip() -> None:
            wait_for(lambda: "clusterIP" in cluster.objects("Service", STAGING)[0]["spec"])
            name = cluster.objects("Service", STAGING)[0]["metadata"]["name"]
            cluster.update("Service", STAGING, name, lambda one: one["spec"].update(clusterIP="127.76.0.1"))

        with (
            whenever(cluster, "create", "services", change_cluster_ip),
            pytest.raises(KfpEdgeError, match=r"liveness was not met: measured no response.*look for a NetworkPolicy"),
        ):
            stage(good, bundle, report, startup_timeout=20)
        assert remaining(cluster) == []

    def test_refuses_with_a_sentence_that_names_the_missing_permission(
        self, good: ImageRef, bundle: Bundle, report: Path, cluster: FakeKubernetes
    ) -> None:
        cluster.fail("create", "services", 403)
        with pytest.raises(KfpEdgeError, match=r"cannot be tested: .*create services .*deploy/openshift/README.md"):
            stage(good, bundle, report)
        assert "cannot be tested" in report.read_text()
        assert remaining(cluster) == []

    def test_that_keeps_failing_ends_the_test_with_a_sentence(
        self, good: ImageRef, bundle: Bundle, report: Path, cluster: FakeKubernetes
    ) -> None:
        cluster.fail("list", "pods", 500, times=5)
        with pytest.raises(
            KfpEdgeError, match="cannot be tested: the Kubernetes API answered 500 to the request to list"
        ):
            stage(good, bundle, report)
        assert remaining(cluster) == []


def test_an_image_in_a_folder_is_refused_because_no_cluster_can_pull_it(
    bundle: Bundle, report: Path, tmp_path: Path, cluster: FakeKubernetes
) -> None:
    image = containerize(bundle.folder, f"oci:{tmp_path}/registry", str(serving_image()), build="append")
    with pytest.raises(KfpEdgeError, match="cannot be staged in a cluster, which pulls from registries only"):
        stage(image, bundle, report)
    assert cluster.requests == []


def test_an_unknown_backend_is_refused(good: ImageRef, bundle: Bundle, report: Path) -> None:
    with pytest.raises(KfpEdgeError, match="staging is 'docker'; choose one of auto, kubernetes, podman"):
        stage(good, bundle, report, staging="docker")


class TestAnInterruptedTest:
    @pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
    def test_by_a_signal_leaves_nothing(
        self, bundle: Bundle, report: Path, server: RegistryServer, cluster: FakeKubernetes, signum: signal.Signals
    ) -> None:
        with serving_image_that(HANGS) as base:
            process = start_process(pushed(bundle, server, base), bundle, report)
            wait_for(lambda: asked(cluster, "get", "pods/log"))
            os.killpg(process.pid, signum)
            assert process.wait() == 130
        assert remaining(cluster) == []
        assert "interrupted" in report.read_text()

    @pytest.mark.parametrize(
        ("verb", "resource"),
        [("create", "deployments"), ("create", "services"), ("list", "pods"), ("get", "pods/log"), ("watch", "pods")],
    )
    def test_by_sigkill_at_any_point_leaves_nothing_after_clean_up(
        self, good: ImageRef, bundle: Bundle, report: Path, cluster: FakeKubernetes, verb: str, resource: str
    ) -> None:
        process = start_process(good, bundle, report)
        wait_for(lambda: asked(cluster, verb, resource))
        process.kill()
        process.wait()
        clean_up(RUN, OPTIONS)
        assert remaining(cluster) == []


def start_process(image: ImageRef, bundle: Bundle, report: Path) -> subprocess.Popen[bytes]:
    script = f"""
        from pathlib import Path
        from kfp_edge.components.staging_test.run import staging_test
        from kfp_edge.images.oci.references import ImageRef
        from kfp_edge.runtime.stage import stage
        with stage("staging_test"):
            image, files = ImageRef.parse({str(image)!r}), (Path({str(bundle.folder)!r}), Path({str(report)!r}))
            staging_test(image, *files, staging_options={OPTIONS!r}, run_id={RUN!r})
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)


def asked(cluster: FakeKubernetes, verb: str, resource: str) -> bool:
    return any(_is(call, verb, resource) for call in cluster.requests)


@contextmanager
def whenever(cluster: FakeKubernetes, verb: str, resource: str, act: Callable[[], None]) -> Iterator[None]:
    """Act once, as soon as the API was asked for something while the block runs."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.01):
            if asked(cluster, verb, resource):
                act()
                return

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def _is(call: Call, verb: str, resource: str) -> bool:
    return (call.user, call.verb, call.resource, call.status // 100) == (USER, verb, resource, 2)

"""`submit`, `schedule` and `doctor` find before a run what its pods would wait for, and in which image they run."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl, kubernetes
from typer.testing import CliRunner, Result

from kfp_edge.cli.app import app
from kfp_edge.client import Client
from kfp_edge.client.submission import runtime_image
from kfp_edge.client.submission.runtime_image import IMAGES_CONFIG_MAP
from kfp_edge.errors import KfpEdgeError, KfpEdgeWarning
from kfp_edge.runtime.component import DEFAULT_RUNTIME_IMAGE
from kfp_edge.spec import compile_to_yaml
from support.cluster import pipeline_application, set_environment
from support.fake_kfp import FakeKfp
from support.fake_kubernetes import FakeKubernetes

USER = "system:serviceaccount:ds-project:workbench"
OURS = "registry.example.com/kfp-edge/runtime@sha256:" + "1" * 64


@dsl.component(base_image="registry.example.com/work:1", install_kfp_package=False)
def work() -> str:
    return ""


@dsl.component(base_image=DEFAULT_RUNTIME_IMAGE, install_kfp_package=False)
def our_work() -> str:
    return ""


@dsl.pipeline(name="with-secret")
def with_secret(login: str = "login"):
    """Run one task that needs a Secret."""
    kubernetes.use_secret_as_env(work(), login, {"user": "USER"})


@dsl.pipeline(name="ours")
def ours():
    """Run one task in the default image, and one in another."""
    our_work().after(work())


@pytest.fixture
def cluster(
    tmp_path: Path, server: FakeKfp, work_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FakeKubernetes]:
    """A cluster with a pipeline server, which this process reaches as a laptop does."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.delenv("KFP_EDGE_TOKEN", raising=False)
    with FakeKubernetes(tmp_path / "cluster") as running:
        running.apply(pipeline_application(server.url, server.url))
        set_environment(monkeypatch, running.environ(USER, "ds-project"))
        server.token = running.token(USER)
        yield running


def secret(name: str = "login", **data: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "ds-project"}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}


def images(text: str) -> dict[str, Any]:
    metadata = {"name": IMAGES_CONFIG_MAP, "namespace": "ds-project"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"runtime": text}}


def uploaded_images(server: FakeKfp) -> set[str]:
    """Return the images of all pipelines on the server."""
    text = json.dumps(list(server.store.versions.values()))
    return {image for image in (OURS, DEFAULT_RUNTIME_IMAGE, "registry.example.com/work:1") if image in text}


def kfp_edge(*args: str) -> Result:
    return CliRunner().invoke(app, list(args))


class TestSubmit:
    def test_refuses_a_run_whose_pods_would_wait_for_a_secret(self, server: FakeKfp, cluster: FakeKubernetes) -> None:
        with pytest.raises(KfpEdgeError, match="the run is not started: Secret login: does not exist in ds-project"):
            Client.connect().submit(with_secret)
        assert server.store.runs == {}

    def test_starts_it_once_the_secret_is_there(self, server: FakeKfp, cluster: FakeKubernetes) -> None:
        cluster.apply(secret(user="ada"))
        Client.connect().submit(with_secret)
        assert len(server.store.runs) == 1

    def test_checks_the_names_that_the_run_gives(self, server: FakeKfp, cluster: FakeKubernetes) -> None:
        cluster.apply(secret(user="ada"))
        with pytest.raises(KfpEdgeError, match="Secret other: does not exist"):
            Client.connect().submit(with_secret, {"login": "other"})

    def test_starts_what_it_may_not_check(self, server: FakeKfp, cluster: FakeKubernetes) -> None:
        cluster.fail("get", "secrets", 403)
        Client.connect().submit(with_secret)
        assert len(server.store.runs) == 1

    def test_only_warns_where_the_host_may_be_of_another_cluster(
        self, server: FakeKfp, cluster: FakeKubernetes
    ) -> None:
        client = Client.connect("ds-project", server.url)
        with pytest.warns(KfpEdgeWarning, match="Secret login: does not exist in ds-project"):
            client.submit(with_secret)
        assert len(server.store.runs) == 1

    def test_of_a_schedule_is_checked_too(self, server: FakeKfp, cluster: FakeKubernetes) -> None:
        with pytest.raises(KfpEdgeError, match="Secret login: does not exist"):
            Client.connect().schedule("nightly", with_secret, cron="0 0 2 * * *")


class TestTheRuntimeImage:
    def test_is_that_of_the_project(self, server: FakeKfp, cluster: FakeKubernetes) -> None:
        cluster.apply(images(OURS))
        Client.connect().submit(ours)
        assert uploaded_images(server) == {OURS, "registry.example.com/work:1"}

    def test_that_is_given_takes_precedence(self, server: FakeKfp, cluster: FakeKubernetes) -> None:
        cluster.apply(images("registry.example.com/old@sha256:" + "2" * 64))
        Client.connect().submit(ours, image=OURS)
        assert OURS in uploaded_images(server)

    @pytest.mark.parametrize("text", [None, DEFAULT_RUNTIME_IMAGE], ids=["none", "the default"])
    def test_is_told_if_it_is_the_default(self, server: FakeKfp, cluster: FakeKubernetes, text: str | None) -> None:
        if text:
            cluster.apply(images(text))
        with pytest.warns(KfpEdgeWarning, match=f"the stages run in {DEFAULT_RUNTIME_IMAGE}, the default; name the"):
            Client.connect().submit(ours)

    def test_may_be_the_public_one_by_digest(self, server: FakeKfp, cluster: FakeKubernetes) -> None:
        pinned = DEFAULT_RUNTIME_IMAGE.rpartition(":")[0] + "@sha256:" + "3" * 64
        Client.connect().submit(ours, image=pinned)
        assert pinned in json.dumps(list(server.store.versions.values()))

    def test_of_a_compiled_file_is_replaced_too(
        self, server: FakeKfp, cluster: FakeKubernetes, work_folder: Path
    ) -> None:
        (work_folder / "ours.yaml").write_text(compile_to_yaml(ours))
        result = kfp_edge("submit", "ours.yaml", "--image", OURS)
        assert (result.exit_code, result.stderr) == (0, "")
        assert OURS in uploaded_images(server)

    def test_that_is_given_takes_precedence_over_that_of_the_environment(
        self, server: FakeKfp, cluster: FakeKubernetes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cluster.apply(secret(user="ada"))
        monkeypatch.setattr(runtime_image, "RUNTIME_IMAGE", "registry.example.com/work:1")
        Client.connect().submit(with_secret, image=OURS)
        assert uploaded_images(server) == {OURS}

    def test_that_replaces_nothing_is_refused(self, server: FakeKfp, cluster: FakeKubernetes) -> None:
        cluster.apply(secret(user="ada"))
        with pytest.raises(KfpEdgeError, match="no stage of the pipeline has the image"):
            Client.connect().submit(with_secret, image=OURS)

    def test_that_is_no_image_is_refused(self, server: FakeKfp, cluster: FakeKubernetes) -> None:
        with pytest.raises(KfpEdgeError, match="'docker://a b' is no image of a registry; write HOST/REPOSITORY@sha"):
            Client.connect().submit(ours, image="docker://a b")


def test_warnings_of_submit_are_printed(server: FakeKfp, cluster: FakeKubernetes, work_folder: Path) -> None:
    (work_folder / "ours.yaml").write_text(compile_to_yaml(ours))
    result = kfp_edge("submit", "ours.yaml")
    assert result.exit_code == 0
    assert result.stderr.startswith(f"warning: the stages run in {DEFAULT_RUNTIME_IMAGE}, the default; ")


class TestDoctor:
    def test_tells_what_the_cluster_lacks_for_a_run(self, cluster: FakeKubernetes, work_folder: Path) -> None:
        (work_folder / "with_secret.yaml").write_text(compile_to_yaml(with_secret))
        result = kfp_edge("doctor", "with_secret.yaml", "--json")
        report = json.loads(result.stdout)
        assert (result.exit_code, report["ok"]) == (1, False)
        assert {each["name"]: each["status"] for each in report["checks"]} == {
            "pipeline server": "ok",
            "backend": "ok",
            "images of the stages": "ok",
            "Secret login": "missing",
        }
        assert result.stderr == "error: the cluster cannot run with_secret.yaml yet; fix: Secret login.\n"

    def test_succeeds_if_there_is_nothing_to_do(self, cluster: FakeKubernetes, work_folder: Path) -> None:
        cluster.apply(secret(user="ada"))
        (work_folder / "with_secret.yaml").write_text(compile_to_yaml(with_secret))
        result = kfp_edge("doctor", "with_secret.yaml")
        assert (result.exit_code, result.stderr) == (0, "")

    def test_changes_nothing(self, server: FakeKfp, cluster: FakeKubernetes, work_folder: Path) -> None:
        (work_folder / "with_secret.yaml").write_text(compile_to_yaml(with_secret))
        kfp_edge("doctor", "with_secret.yaml")
        assert {call.verb for call in cluster.requests} == {"get", "list"}
        assert server.store.versions == {}

    def test_of_a_namespace_asks_for_the_pipeline(self) -> None:
        result = kfp_edge("doctor", "--namespace", "ds-project")
        assert isinstance(result.exception, KfpEdgeError)
        assert "name it, such as `kfp-edge doctor training`" in str(result.exception)

"""A pod uses its service account, a laptop its kubeconfig."""

import re
from pathlib import Path

import pytest

from kfp_edge.errors import KfpEdgeError
from kfp_edge.kubernetes import Cluster, ClusterError, in_pod
from support.cluster import RUNNER, set_environment
from support.fake_kubernetes import FakeKubernetes


def test_a_pod_uses_its_service_account(fake: FakeKubernetes, monkeypatch: pytest.MonkeyPatch) -> None:
    environ = fake.pod(RUNNER, "ds-project")
    set_environment(monkeypatch, environ)
    assert in_pod()
    in_cluster = Cluster.connect()
    pod = in_cluster.get("Pod", environ["HOSTNAME"])
    assert pod is not None
    assert in_cluster.namespace == "ds-project"
    assert (in_cluster.host, in_cluster.token, in_cluster.ca_file) == (fake.url, fake.token(RUNNER), None)
    assert fake.requests[-1].user == RUNNER


def test_a_pod_trusts_the_ca_of_its_cluster(fake: FakeKubernetes, monkeypatch: pytest.MonkeyPatch) -> None:
    environ = fake.pod(RUNNER, "ds-project")
    ca = Path(environ["KFP_EDGE_SERVICE_ACCOUNT"]) / "ca.crt"
    ca.write_text("a certificate")
    set_environment(monkeypatch, environ)
    in_cluster = Cluster.connect()
    assert in_cluster.ca_file == ca
    assert in_cluster.host == fake.url.replace("http://", "https://")
    with pytest.raises(ClusterError, match="cannot be trusted .*add the CA of its certificate"):
        in_cluster.list("Pod")


def test_a_laptop_uses_its_kubeconfig(cluster: Cluster, fake: FakeKubernetes) -> None:
    assert not in_pod()
    assert cluster.namespace == "ds-project"
    assert (cluster.host, cluster.token, cluster.ca_file) == (fake.url, fake.token(RUNNER), None)
    assert Cluster.connect("edge-staging").namespace == "edge-staging"


def test_without_pod_and_kubeconfig_the_error_says_to_log_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(KfpEdgeError, match="this is not a pod, and there is no kubeconfig .*none; log in"):
        Cluster.connect()


@pytest.mark.parametrize("text", ["", "{", "current-context: x\nusers: [{name: u, user: {token: s3cret}}]"])
def test_the_error_about_a_broken_kubeconfig_names_it_and_does_not_show_its_token(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    file = tmp_path / "config"
    file.write_text(text)
    monkeypatch.setenv("KUBECONFIG", str(file))
    with pytest.raises(KfpEdgeError, match=re.escape(f"the kubeconfig {file} cannot be read")) as caught:
        Cluster.connect()
    assert "s3cret" not in str(caught.value)

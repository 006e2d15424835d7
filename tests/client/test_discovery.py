"""The client finds its server and what opens it: from a pod, from a laptop with a kubeconfig, or as it is told."""

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kfp_edge.client import Client
from kfp_edge.client.discovery import find_endpoint
from kfp_edge.errors import KfpApiError, KfpEdgeError
from support.fake_kfp import FakeKfp
from support.fake_kubernetes import FakeKubernetes
from support.registry import write_certificates

USER = "system:serviceaccount:ds-project:workbench"


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine that names no cluster and no token."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.delenv("KFP_EDGE_TOKEN", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeKubernetes]:
    with FakeKubernetes(tmp_path / "cluster") as running:
        yield running


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[FakeKfp]:
    with FakeKfp(tmp_path) as running:
        yield running


def enter(monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)


def server(inside: str = "", outside: str = "", name: str = "dspa") -> dict[str, Any]:
    """A DataSciencePipelinesApplication whose API server has these addresses."""
    status = {"components": {"apiServer": {"url": inside, "externalUrl": outside}}} if inside or outside else {}
    return {
        "apiVersion": "datasciencepipelinesapplications.opendatahub.io/v1",
        "kind": "DataSciencePipelinesApplication",
        "metadata": {"name": name, "namespace": "ds-project"},
        "spec": {"objectStorage": {}},
        "status": status,
    }


def test_a_pod_reaches_the_service_with_its_service_account(
    cluster: FakeKubernetes, backend: FakeKfp, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.apply(server(inside=backend.url, outside="https://outside.example.com"))
    enter(monkeypatch, cluster.pod(USER, "ds-project"))
    backend.token = cluster.token(USER)
    found = Client.connect()
    assert (found.host, found.runs()) == (backend.url, [])


def test_a_laptop_reaches_the_route_with_its_kubeconfig(
    cluster: FakeKubernetes, backend: FakeKfp, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.apply(server(inside="https://inside.svc.cluster.local:8443", outside=backend.url))
    enter(monkeypatch, cluster.environ(USER, "ds-project"))
    backend.token = cluster.token(USER)
    assert Client.connect().runs() == []


def test_a_pod_s_token_is_read_again_when_it_has_been_replaced(
    cluster: FakeKubernetes, backend: FakeKfp, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.apply(server(inside=backend.url))
    pod = cluster.pod(USER, "ds-project")
    enter(monkeypatch, pod)
    backend.token = cluster.token(USER)
    found = Client.connect()
    found.runs()
    backend.expire_token()
    Path(pod["KFP_EDGE_SERVICE_ACCOUNT"], "token").write_text(backend.token)
    assert found.runs() == []


def test_the_token_of_the_environment_goes_first_and_is_read_again_too(
    cluster: FakeKubernetes, backend: FakeKfp, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(monkeypatch, cluster.environ(USER, "ds-project"))
    monkeypatch.setenv("KFP_EDGE_TOKEN", backend.token)
    found = Client.connect(host=backend.url)
    assert found.runs() == []
    backend.expire_token()
    monkeypatch.setenv("KFP_EDGE_TOKEN", backend.token)
    assert found.runs() == []


def test_a_host_and_a_token_need_no_cluster(backend: FakeKfp) -> None:
    assert Client.connect(host=backend.url, token=backend.token).runs() == []


def test_a_host_without_a_scheme_is_https() -> None:
    assert find_endpoint(host="pipelines.example.com/").host == "https://pipelines.example.com"


def test_without_a_cluster_the_host_is_asked_for() -> None:
    with pytest.raises(KfpEdgeError, match="no host is given and there is no cluster to ask: no Kubernetes cluster"):
        Client.connect()


@pytest.mark.parametrize(
    ("servers", "said"),
    [
        ([], "the namespace ds-project should have one DataSciencePipelinesApplication and has none"),
        ([server(outside="https://a", name="a"), server(outside="https://b", name="b")], r"has 2 of them \(a, b\)"),
        ([server()], "dspa in the namespace ds-project tells no address of its API server yet; wait until"),
    ],
)
def test_a_project_without_one_server_is_told(
    cluster: FakeKubernetes, monkeypatch: pytest.MonkeyPatch, servers: list[dict[str, Any]], said: str
) -> None:
    enter(monkeypatch, cluster.environ(USER, "ds-project"))
    for each in servers:
        cluster.apply(each)
    with pytest.raises(KfpEdgeError, match=said):
        Client.connect()


@pytest.mark.parametrize("host", ["https://user:secret@example.com", "ftp://example.com", "https://[", "https://"])
def test_a_host_that_is_no_address_is_refused_and_not_repeated(host: str) -> None:
    with pytest.raises(KfpEdgeError, match=r"must be https://HOST, without user and password\.$"):
        Client.connect(host=host)


def test_a_token_does_not_go_over_plain_http() -> None:
    with pytest.raises(KfpEdgeError, match="http://example.com would carry the token in the clear"):
        Client.connect(host="http://example.com", token="s3cret")


def test_a_token_of_two_lines_is_refused_and_not_repeated() -> None:
    with pytest.raises(KfpEdgeError, match="must be one line") as refused:
        Client.connect(host="https://example.com", token="s3\ncret")
    assert "s3" not in str(refused.value)


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[FakeKfp]:
    """A server whose certificate is signed by a CA that nobody knows: `certificates/client/ca.crt`."""
    folder = tmp_path / "certificates"
    folder.mkdir()
    write_certificates(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    with FakeKfp(tmp_path, tls=context) as running:
        yield running


def test_a_ca_can_be_given(secure: FakeKfp, tmp_path: Path) -> None:
    ca_file = tmp_path / "certificates" / "client" / "ca.crt"
    assert Client.connect(host=secure.url, token=secure.token, ca_file=ca_file).runs() == []


def test_the_ca_of_services_in_a_pod_is_trusted(
    secure: FakeKfp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As OpenShift mounts it: `service-ca.crt` beside the cluster's own `ca.crt`."""
    folder = tmp_path / "account"
    folder.mkdir()
    signed = (tmp_path / "certificates" / "client" / "ca.crt").read_text()
    for name, text in {"token": secure.token, "namespace": "ds-project", "service-ca.crt": signed}.items():
        (folder / name).write_text(text)
    (folder / "ca.crt").write_bytes((tmp_path / "certificates" / "server.crt").read_bytes())
    enter(monkeypatch, {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KFP_EDGE_SERVICE_ACCOUNT": str(folder)})
    assert Client.connect(host=secure.url).runs() == []


def test_a_certificate_of_an_unknown_ca_is_told(secure: FakeKfp) -> None:
    with pytest.raises(KfpApiError, match=r"the certificate of https://.* is not trusted; name its CA in --ca-file"):
        Client.connect(host=secure.url, token=secure.token).runs()
    assert secure.requests == []


def test_a_ca_file_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(KfpEdgeError, match=r"the CA file .*none\.pem does not exist"):
        Client.connect(host="https://example.com", ca_file=tmp_path / "none.pem")

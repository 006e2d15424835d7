"""The client finds its server, token and CA: in a pod, on a laptop with a kubeconfig, or from arguments."""

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from kfp_edge.client import Client
from kfp_edge.client.server.discovery import find_endpoint
from kfp_edge.errors import KfpApiError, KfpEdgeError, ParameterError
from kfp_edge.observability.demo.certificates import write_certificates
from support.cluster import pipeline_application, set_environment
from support.fake_kfp import FakeKfp
from support.fake_kubernetes import FakeKubernetes

USER = "system:serviceaccount:ds-project:workbench"


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The environment names neither a cluster nor a token."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.delenv("KFP_EDGE_TOKEN", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeKubernetes]:
    with FakeKubernetes(tmp_path / "cluster") as running:
        yield running


def test_a_pod_connects_to_the_service_with_its_service_account(
    cluster: FakeKubernetes, server: FakeKfp, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.apply(pipeline_application(inside=server.url, outside="https://outside.example.com"))
    set_environment(monkeypatch, cluster.pod(USER, "ds-project"))
    server.token = cluster.token(USER)
    client = Client.connect()
    assert (client.host, client.runs()) == (server.url, [])


def test_a_laptop_connects_to_the_route_with_its_kubeconfig(
    cluster: FakeKubernetes, server: FakeKfp, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.apply(pipeline_application(inside="https://inside.svc.cluster.local:8443", outside=server.url))
    set_environment(monkeypatch, cluster.environ(USER, "ds-project"))
    server.token = cluster.token(USER)
    assert Client.connect().runs() == []


def test_a_pod_s_token_is_read_again_when_it_has_been_replaced(
    cluster: FakeKubernetes, server: FakeKfp, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.apply(pipeline_application(inside=server.url))
    pod = cluster.pod(USER, "ds-project")
    set_environment(monkeypatch, pod)
    server.token = cluster.token(USER)
    client = Client.connect()
    client.runs()
    server.expire_token()
    Path(pod["KFP_EDGE_SERVICE_ACCOUNT"], "token").write_text(server.token)
    assert client.runs() == []


def test_the_token_of_the_environment_takes_precedence_and_is_read_again(
    cluster: FakeKubernetes, server: FakeKfp, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_environment(monkeypatch, cluster.environ(USER, "ds-project"))
    monkeypatch.setenv("KFP_EDGE_TOKEN", server.token)
    client = Client.connect(host=server.url)
    assert client.runs() == []
    server.expire_token()
    monkeypatch.setenv("KFP_EDGE_TOKEN", server.token)
    assert client.runs() == []


def test_a_host_and_a_token_suffice_without_a_cluster(server: FakeKfp) -> None:
    assert Client.connect(host=server.url, token=server.token).runs() == []


def test_a_host_without_a_scheme_is_https() -> None:
    assert find_endpoint(host="pipelines.example.com/").host == "https://pipelines.example.com"


def test_without_a_cluster_a_host_is_required() -> None:
    with pytest.raises(KfpEdgeError, match="no host is given and there is no cluster to ask: no Kubernetes cluster"):
        Client.connect()


@pytest.mark.parametrize(
    ("applications", "message"),
    [
        (
            [],
            "the namespace ds-project, that of the kubeconfig, should have one DataSciencePipelinesApplication and has "
            "none; name the project with --namespace",
        ),
        (
            [pipeline_application(outside="https://a", name="a"), pipeline_application(outside="https://b", name="b")],
            r"has 2 of them \(a, b\)",
        ),
        ([pipeline_application()], "dspa in the namespace ds-project has no address of its API server yet; wait until"),
    ],
)
def test_a_project_without_exactly_one_server_is_reported(
    cluster: FakeKubernetes, monkeypatch: pytest.MonkeyPatch, applications: list[dict[str, Any]], message: str
) -> None:
    set_environment(monkeypatch, cluster.environ(USER, "ds-project"))
    for each in applications:
        cluster.apply(each)
    with pytest.raises(KfpEdgeError, match=message):
        Client.connect()


def test_a_project_that_does_not_exist_is_reported_as_such(
    cluster: FakeKubernetes, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_environment(monkeypatch, cluster.environ(USER, "ds-project"))
    with pytest.raises(KfpEdgeError, match=r"the namespace nope does not exist in http\S+; name the project"):
        Client.connect("nope")


def without_login(**spec: bool) -> dict[str, Any]:
    """Return an application with `enableOauth: false`: it has no route, and the operator never reports an address."""
    without = pipeline_application()
    return {**without, "spec": {**without["spec"], "apiServer": {"enableOauth": False}, **spec}}


@pytest.mark.parametrize(
    ("spec", "remedy"),
    [
        ({}, "or give the host of your own route"),
        (
            {"podToPodTLS": False},
            "or run `oc port-forward -n ds-project service/ds-pipeline-dspa 8888` and give the host "
            "http://localhost:8888",
        ),
    ],
    ids=["TLS", "without TLS"],
)
def test_outside_the_cluster_a_server_without_login_has_no_address(
    cluster: FakeKubernetes, monkeypatch: pytest.MonkeyPatch, spec: dict[str, bool], remedy: str
) -> None:
    set_environment(monkeypatch, cluster.environ(USER, "ds-project"))
    cluster.apply(without_login(**spec))
    with pytest.raises(KfpEdgeError, match=f"`enableOauth: false`, .* no address outside the cluster; .*{remedy}"):
        Client.connect()


def resolve(monkeypatch: pytest.MonkeyPatch, name: str, port: int | None) -> None:
    """Lead connections with a name to a port of this machine; None lets them end in a timeout."""
    look_up = socket.getaddrinfo

    def replaced(host: str, asked: int, *args: Any, **kwargs: Any) -> Any:
        if host != name:
            return look_up(host, asked, *args, **kwargs)
        if port is None:
            raise TimeoutError("timed out")
        return look_up("127.0.0.1", port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", replaced)


SERVICE = "ds-pipeline-dspa.ds-project.svc.cluster.local"


def test_a_pod_connects_to_a_server_without_login_and_sends_no_token(
    cluster: FakeKubernetes, server: FakeKfp, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.apply(without_login(podToPodTLS=False))
    set_environment(monkeypatch, cluster.pod(USER, "ds-project"))
    resolve(monkeypatch, SERVICE, urlsplit(server.url).port)
    server.token = ""
    client = Client.connect()
    assert (client.host, client.runs()) == (f"http://{SERVICE}:8888", [])


def test_a_pod_that_a_network_policy_keeps_from_the_server_is_reported(
    cluster: FakeKubernetes, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.apply(without_login())
    set_environment(monkeypatch, cluster.pod(USER, "ds-project"))
    resolve(monkeypatch, SERVICE, None)
    with pytest.raises(KfpEdgeError, match=r"at port 8888, since the NetworkPolicy ds-pipelines-dspa admits only pods"):
        Client.connect()


@pytest.mark.parametrize("host", ["https://user:secret@example.com", "ftp://example.com", "https://[", "https://"])
def test_an_invalid_host_is_refused_and_not_repeated(host: str) -> None:
    with pytest.raises(KfpEdgeError, match=r"must be https://HOST, without user and password\.$"):
        Client.connect(host=host)


def test_a_token_is_not_sent_over_plain_http() -> None:
    with pytest.raises(KfpEdgeError, match="http://example.com would send the token unencrypted"):
        Client.connect(host="http://example.com", token="s3cret")


def test_a_token_of_two_lines_is_refused_and_not_repeated() -> None:
    with pytest.raises(KfpEdgeError, match="must be one line") as refused:
        Client.connect(host="https://example.com", token="s3\ncret")
    assert "s3" not in str(refused.value)


@pytest.fixture
def tls_server(tmp_path: Path) -> Iterator[FakeKfp]:
    """A server whose certificate is signed by a private CA: `certificates/client/ca.crt`."""
    folder = tmp_path / "certificates"
    folder.mkdir()
    write_certificates(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    with FakeKfp(tmp_path, tls=context) as running:
        yield running


def test_a_ca_file_is_trusted(tls_server: FakeKfp, tmp_path: Path) -> None:
    ca_file = tmp_path / "certificates" / "client" / "ca.crt"
    assert Client.connect(host=tls_server.url, token=tls_server.token, ca_file=ca_file).runs() == []


def test_a_command_in_a_message_is_for_the_same_server(tls_server: FakeKfp, tmp_path: Path) -> None:
    ca_file = tmp_path / "certificates" / "client" / "ca.crt"
    endpoint = find_endpoint("plant", tls_server.url, tls_server.token, ca_file)
    assert endpoint.repeat_command("runs a1") == (
        f"kfp-edge runs a1 --namespace plant --host {tls_server.url} --ca-file {ca_file}"
    )
    assert "--ca-file" not in find_endpoint("plant", tls_server.url, tls_server.token).repeat_command("runs a1")


def test_a_command_for_the_server_of_a_project_names_only_the_project(
    cluster: FakeKubernetes, server: FakeKfp, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.apply(pipeline_application(inside="https://inside.svc.cluster.local:8443", outside=server.url))
    set_environment(monkeypatch, cluster.environ(USER, "ds-project"))
    assert find_endpoint().repeat_command("runs a1") == "kfp-edge runs a1 --namespace ds-project"


def test_the_ca_of_services_in_a_pod_is_trusted(
    tls_server: FakeKfp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenShift mounts it as `service-ca.crt` next to the cluster's own `ca.crt`."""
    folder = tmp_path / "account"
    folder.mkdir()
    signed = (tmp_path / "certificates" / "client" / "ca.crt").read_text()
    for name, text in {"token": tls_server.token, "namespace": "ds-project", "service-ca.crt": signed}.items():
        (folder / name).write_text(text)
    (folder / "ca.crt").write_bytes((tmp_path / "certificates" / "server.crt").read_bytes())
    set_environment(monkeypatch, {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KFP_EDGE_SERVICE_ACCOUNT": str(folder)})
    assert Client.connect(host=tls_server.url).runs() == []


def test_a_certificate_of_an_unknown_ca_is_reported(tls_server: FakeKfp) -> None:
    with pytest.raises(KfpApiError, match=r"the certificate of https://.* is not trusted; name its CA in --ca-file"):
        Client.connect(host=tls_server.url, token=tls_server.token).runs()
    assert tls_server.requests == []


@pytest.mark.parametrize("content", ["", "-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n"])
def test_a_ca_file_without_a_certificate_is_reported_and_not_a_server_that_cannot_be_reached(
    tmp_path: Path, content: str
) -> None:
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text(content)
    with pytest.raises(ParameterError, match=r"the CA file .*ca\.pem contains no certificate that can be read"):
        Client.connect(host="https://example.com", ca_file=ca_file)


def test_a_folder_as_ca_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"the CA file .* cannot be read: Is a directory"):
        Client.connect(host="https://example.com", ca_file=tmp_path)


def test_a_missing_ca_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(KfpEdgeError, match=r"the CA file .*none\.pem does not exist"):
        Client.connect(host="https://example.com", ca_file=tmp_path / "none.pem")

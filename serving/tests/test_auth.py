"""Who may ask: a bearer token, TLS and mutual TLS, from files that may be replaced while the server runs."""

import http.client
import json
import os
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from serving_support.bundles import numeric_bundle
from serving_support.certificates import Authority
from serving_support.server_process import Server, running, start

ROW = json.dumps({"inputs": [{"name": "X", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}]}).encode()
INFER = "/v2/models/pump/infer"
PROBES = ["/v2/health/live", "/v2/health/ready"]
GUARDED = ["/v2", "/v2/models/pump", "/metrics", "/openapi.json"]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    numeric_bundle(tmp_path / "models")
    return tmp_path / "models"


def ask(server: Server, method: str, path: str, token: str = "", tls: ssl.SSLContext | None = None) -> tuple[int, Any]:
    """Return status and headers of the answer."""
    connection = (
        http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        if tls is None
        else http.client.HTTPSConnection("127.0.0.1", server.port, timeout=30, context=tls)
    )
    try:
        headers = {"Authorization": token} if token else {}
        connection.request(method, path, ROW if method == "POST" else None, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.headers
    finally:
        connection.close()


def replace(path: Path, content: bytes) -> None:
    """Replace a file as Kubernetes does: at once."""
    new = path.with_suffix(".new")
    new.write_bytes(content)
    new.replace(path)


def test_without_the_token_only_the_probes_answer(models: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    with running(models, "--token-file", str(tmp_path / "token")) as server:
        assert [ask(server, "GET", path)[0] for path in PROBES] == [200, 200]
        assert [ask(server, "GET", path)[0] for path in GUARDED] == [401] * 4
        assert ask(server, "POST", INFER)[0] == 401
        assert ask(server, "POST", INFER)[1]["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("Bearer s3cret", 200),
        ("bearer s3cret", 200),
        ("Bearer s3cre", 401),
        ("Bearer s3crets", 401),
        ("Basic s3cret", 401),
        ("s3cret", 401),
        ("Bearer", 401),
    ],
)
def test_only_the_right_token_opens(models: Path, tmp_path: Path, header: str, status: int) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    with running(models, "--token-file", str(tmp_path / "token")) as server:
        assert ask(server, "POST", INFER, header)[0] == status


def test_a_replaced_token_counts_without_a_restart(models: Path, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old")
    with running(models, "--token-file", str(token)) as server:
        replace(token, b"new")
        server.event("reloaded")
        assert [ask(server, "POST", INFER, f"Bearer {word}")[0] for word in ("old", "new")] == [401, 200]


def test_a_token_that_was_emptied_leaves_the_old_one_in_force(models: Path, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old")
    with running(models, "--token-file", str(token)) as server:
        replace(token, b"")
        assert "is empty" in server.event("not reloaded")["error"]
        assert [ask(server, "POST", INFER, word)[0] for word in ("Bearer old", "Bearer ", "")] == [200, 401, 401]


def test_the_token_is_in_no_log_line(models: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret")
    with running(models, "--token-file", str(tmp_path / "token"), "--access-log", "on") as server:
        ask(server, "POST", INFER, "Bearer s3cret")
        ask(server, "POST", INFER, "Bearer s3cret-but-wrong")
        server.process.terminate()
        stdout, stderr = server.process.communicate(timeout=30)
    assert "inference" in stdout
    assert "s3cret" not in stdout + stderr


def test_with_a_certificate_it_speaks_tls_and_plain_http_gets_nothing(models: Path, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    certificate, key = authority.issue("server")
    with running(models, "--tls-cert", str(certificate), "--tls-key", str(key)) as server:
        assert ask(server, "POST", INFER, tls=authority.client())[0] == 200
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            ask(server, "GET", PROBES[0])


def test_a_renewed_certificate_counts_without_a_restart(models: Path, tmp_path: Path) -> None:
    old, new = Authority(tmp_path / "old"), Authority(tmp_path / "new")
    certificate, key = old.issue("server")
    with running(models, "--tls-cert", str(certificate), "--tls-key", str(key)) as server:
        newer = [path.read_bytes() for path in new.issue("server")]
        for path, content in zip((key, certificate), reversed(newer), strict=True):
            replace(path, content)
        server.event("reloaded")
        assert ask(server, "POST", INFER, tls=new.client())[0] == 200
        with pytest.raises(ssl.SSLCertVerificationError):
            ask(server, "POST", INFER, tls=old.client())


def test_mutual_tls_takes_clients_of_its_own_ca_and_probes_without_a_certificate(models: Path, tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path / "ca"), Authority(tmp_path / "stranger")
    certificate, key = authority.issue("server")
    options = ["--tls-cert", str(certificate), "--tls-key", str(key), "--tls-client-ca", str(authority.certificate)]
    with running(models, *options) as server:
        assert ask(server, "POST", INFER, tls=authority.client(authority.issue("plc")))[0] == 200
        assert ask(server, "POST", INFER, tls=authority.client())[0] == 401
        assert [ask(server, "GET", path, tls=authority.client())[0] for path in PROBES] == [200, 200]
        with pytest.raises((ssl.SSLError, ConnectionError)):
            ask(server, "POST", INFER, tls=authority.client(stranger.issue("plc")))


def test_the_health_command_follows_the_server(models: Path, tmp_path: Path) -> None:
    def health(**environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "kfp_edge_serving", "health"]
        variables = {**os.environ, **environment}
        return subprocess.run(command, capture_output=True, text=True, env=variables, check=False)

    authority = Authority(tmp_path / "ca")
    certificate, key = authority.issue("server")
    with running(models, "--tls-cert", str(certificate), "--tls-key", str(key)) as server:
        assert health(KFP_EDGE_PORT=str(server.port), KFP_EDGE_TLS_CERT=str(certificate)).returncode == 0
        server.stop()
        done = health(KFP_EDGE_PORT=str(server.port), KFP_EDGE_TLS_CERT=str(certificate))
    assert done.returncode == 1
    assert done.stderr.startswith(f"no answer on port {server.port}")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--tls-cert", "here.pem"], "TLS needs both a certificate and its key; set --tls-cert and --tls-key."),
        (["--tls-client-ca", "ca.pem"], "client certificates need TLS; set --tls-cert and --tls-key too."),
        (["--token-file", "missing"], "cannot read missing: No such file or directory."),
        (["--token-file", os.devnull], f"{os.devnull} is empty; it must hold the bearer token."),
        (["--tls-cert", __file__, "--tls-key", __file__], "are not a certificate and its key in PEM."),
    ],
)
def test_secrets_that_cannot_be_used_end_the_start_with_one_sentence(
    models: Path, options: list[str], sentence: str
) -> None:
    process = start(models, *options)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (1, "")
    assert json.loads(stdout.splitlines()[-1])["error"].endswith(sentence)

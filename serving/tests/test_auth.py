"""Authentication over REST: a bearer token, TLS and mutual TLS, from files that are replaced while the server runs."""

import http.client
import json
import os
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from serving_support.bundles import PUMP_ROW
from serving_support.certificates import Authority
from serving_support.files import replace_file
from serving_support.server_process import Server, running, start

INFER = "/v2/models/pump/infer"
PROBES = ["/v2/health/live", "/v2/health/ready"]
GUARDED = ["/v2", "/v2/models/pump", "/metrics", "/openapi.json"]


def ask(server: Server, method: str, path: str, token: str = "", tls: ssl.SSLContext | None = None) -> tuple[int, Any]:
    """Return status and headers of the answer."""
    connection = (
        http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        if tls is None
        else http.client.HTTPSConnection("127.0.0.1", server.port, timeout=30, context=tls)
    )
    try:
        headers = {"Authorization": token} if token else {}
        connection.request(method, path, PUMP_ROW if method == "POST" else None, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.headers
    finally:
        connection.close()


def test_without_the_token_only_the_probes_are_answered(token_server: Server) -> None:
    assert [ask(token_server, "GET", path)[0] for path in PROBES] == [200, 200]
    assert [ask(token_server, "GET", path)[0] for path in GUARDED] == [401] * 4
    assert ask(token_server, "POST", INFER)[0] == 401
    assert ask(token_server, "POST", INFER)[1]["www-authenticate"] == "Bearer"


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
def test_only_the_right_token_gives_access(token_server: Server, header: str, status: int) -> None:
    assert ask(token_server, "POST", INFER, header)[0] == status


def test_a_replaced_token_is_in_force_without_a_restart(models: Path, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old")
    with running(models, "--token-file", str(token)) as server:
        replace_file(token, b"new")
        server.event("reloaded")
        assert [ask(server, "POST", INFER, f"Bearer {word}")[0] for word in ("old", "new")] == [401, 200]


def test_an_emptied_token_file_leaves_the_old_token_in_force(models: Path, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old")
    with running(models, "--token-file", str(token)) as server:
        replace_file(token, b"")
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


def test_with_a_certificate_it_accepts_tls_and_not_plain_http(models: Path, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    certificate, key = authority.issue("server")
    with running(models, "--tls-cert", str(certificate), "--tls-key", str(key)) as server:
        assert ask(server, "POST", INFER, tls=authority.client())[0] == 200
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            ask(server, "GET", PROBES[0])


def test_a_renewed_certificate_is_used_without_a_restart(models: Path, tmp_path: Path) -> None:
    old, new = Authority(tmp_path / "old"), Authority(tmp_path / "new")
    certificate, key = old.issue("server")
    with running(models, "--tls-cert", str(certificate), "--tls-key", str(key)) as server:
        newer = [path.read_bytes() for path in new.issue("server")]
        for path, content in zip((key, certificate), reversed(newer), strict=True):
            replace_file(path, content)
        server.event("reloaded")
        assert ask(server, "POST", INFER, tls=new.client())[0] == 200
        with pytest.raises(ssl.SSLCertVerificationError):
            ask(server, "POST", INFER, tls=old.client())


def test_mutual_tls_accepts_clients_of_its_ca_and_probes_without_a_certificate(models: Path, tmp_path: Path) -> None:
    authority, other_ca = Authority(tmp_path / "ca"), Authority(tmp_path / "other")
    certificate, key = authority.issue("server")
    options = ["--tls-cert", str(certificate), "--tls-key", str(key), "--tls-client-ca", str(authority.certificate)]
    with running(models, *options) as server:
        assert ask(server, "POST", INFER, tls=authority.client(authority.issue("plc")))[0] == 200
        assert ask(server, "POST", INFER, tls=authority.client())[0] == 401
        assert [ask(server, "GET", path, tls=authority.client())[0] for path in PROBES] == [200, 200]
        with pytest.raises((ssl.SSLError, ConnectionError)):
            ask(server, "POST", INFER, tls=authority.client(other_ca.issue("plc")))


def test_the_health_command_reports_the_state_of_the_server(models: Path, tmp_path: Path) -> None:
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
    ("options", "message"),
    [
        (["--tls-cert", "here.pem"], "TLS needs both a certificate and its key; set --tls-cert and --tls-key."),
        (["--tls-client-ca", "ca.pem"], "client certificates need TLS; set --tls-cert and --tls-key too."),
        (["--token-file", "missing"], "cannot read missing: No such file or directory."),
        (["--token-file", os.devnull], f"{os.devnull} is empty; it must hold the bearer token."),
        (["--tls-cert", __file__, "--tls-key", __file__], "are not a certificate and its key in PEM."),
    ],
)
def test_unusable_secrets_are_a_start_error(models: Path, options: list[str], message: str) -> None:
    process = start(models, *options)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (1, "")
    assert json.loads(stdout.splitlines()[-1])["error"].endswith(message)

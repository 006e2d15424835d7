"""Authentication over gRPC: a bearer token, TLS and mutual TLS."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from tritonclient.grpc import service_pb2
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

from serving_support.certificates import Authority
from serving_support.files import replace_file
from serving_support.grpc_calls import calls_without_message, channel_to, code_of, grpc_port, pump, refused, stub_to
from serving_support.server_process import Server, running

GUARDED = ["ServerMetadata", "ModelReady", "ModelMetadata", "ModelInfer"]
NO_ACCESS = "this server requires a bearer token or a client certificate; the request has no valid one."


@pytest.fixture
def token(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text("s3cret\n")
    return tmp_path / "token"


@contextmanager
def secure(
    server: Server, trusted: Path, identity: tuple[Path, Path] | None = None
) -> Iterator[GRPCInferenceServiceStub]:
    certificate, key = (path.read_bytes() for path in identity) if identity else (None, None)
    credentials = grpc.ssl_channel_credentials(trusted.read_bytes(), key, certificate)
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.secure_channel(f"127.0.0.1:{server.grpc_port}", credentials, options) as channel:
        yield GRPCInferenceServiceStub(channel)


def infer(stub: GRPCInferenceServiceStub, authorization: str = "") -> str:
    metadata = [("authorization", authorization)] if authorization else []
    return code_of(lambda: stub.ModelInfer(pump(), metadata=metadata, timeout=10))


def test_without_the_token_only_the_probes_are_answered(token_server: Server) -> None:
    with stub_to(grpc_port(token_server)) as stub:
        assert stub.ServerLive(service_pb2.ServerLiveRequest()).live
        assert stub.ServerReady(service_pb2.ServerReadyRequest()).ready
        for call in GUARDED:
            request = getattr(service_pb2, f"{call}Request")()
            assert refused(lambda: getattr(stub, call)(request)) == ("UNAUTHENTICATED", NO_ACCESS)  # noqa: B023


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        ("Bearer s3cret", "OK"),
        ("bearer s3cret", "OK"),
        ("Bearer s3cre", "UNAUTHENTICATED"),
        ("Basic s3cret", "UNAUTHENTICATED"),
        ("Bearer", "UNAUTHENTICATED"),
    ],
)
def test_only_the_right_token_gives_access(token_server: Server, authorization: str, code: str) -> None:
    with stub_to(grpc_port(token_server)) as stub:
        assert infer(stub, authorization) == code


def test_a_call_without_access_is_refused_before_its_message_is_read(token_server: Server) -> None:
    with channel_to(grpc_port(token_server)) as channel, calls_without_message(channel) as ([call], _):
        assert call.code() is grpc.StatusCode.UNAUTHENTICATED


def test_a_replaced_token_is_in_force_without_a_restart(models: Path, token: Path) -> None:
    with running(models, "--grpc-port", "0", "--token-file", str(token)) as server, stub_to(grpc_port(server)) as stub:
        replace_file(token, b"new")
        server.event("reloaded")
        assert [infer(stub, f"Bearer {word}") for word in ("s3cret", "new")] == ["UNAUTHENTICATED", "OK"]


def test_with_a_certificate_it_accepts_tls_only(models: Path, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    certificate, key = authority.issue("server")
    options = ["--grpc-port", "0", "--tls-cert", str(certificate), "--tls-key", str(key)]
    with running(models, *options) as server:
        with secure(server, authority.certificate) as stub:
            assert infer(stub) == "OK"
        with stub_to(grpc_port(server)) as stub:
            assert infer(stub) == "UNAVAILABLE"


def test_a_renewed_certificate_is_used_without_a_restart(models: Path, tmp_path: Path) -> None:
    old, new = Authority(tmp_path / "old"), Authority(tmp_path / "new")
    certificate, key = old.issue("server")
    options = ["--grpc-port", "0", "--tls-cert", str(certificate), "--tls-key", str(key)]
    with running(models, *options) as server, secure(server, old.certificate) as before:
        assert infer(before) == "OK"
        newer = [path.read_bytes() for path in new.issue("server")]
        for path, content in zip((key, certificate), reversed(newer), strict=True):
            replace_file(path, content)
        server.event("reloaded")
        with secure(server, new.certificate) as stub:
            assert infer(stub) == "OK"
        with secure(server, old.certificate) as stub:
            assert infer(stub) == "UNAVAILABLE"
        assert infer(before) == "OK"  # a connection that is open stays open


def test_mutual_tls_accepts_clients_of_its_ca_only(models: Path, tmp_path: Path) -> None:
    authority, other_ca = Authority(tmp_path / "ca"), Authority(tmp_path / "other")
    certificate, key = authority.issue("server")
    files = ["--tls-cert", str(certificate), "--tls-key", str(key), "--tls-client-ca", str(authority.certificate)]
    with running(models, "--grpc-port", "0", *files) as server:
        with secure(server, authority.certificate, authority.issue("plc")) as stub:
            assert infer(stub) == "OK"
        with secure(server, authority.certificate) as stub:
            assert infer(stub) == "UNAVAILABLE"
        with secure(server, authority.certificate, other_ca.issue("plc")) as stub:
            assert infer(stub) == "UNAVAILABLE"


def test_with_a_token_too_a_client_needs_no_certificate_but_the_token(
    models: Path, tmp_path: Path, token: Path
) -> None:
    authority = Authority(tmp_path / "ca")
    certificate, key = authority.issue("server")
    files = ["--tls-cert", str(certificate), "--tls-key", str(key), "--tls-client-ca", str(authority.certificate)]
    with (
        running(models, "--grpc-port", "0", "--token-file", str(token), *files) as server,
        secure(server, authority.certificate) as stub,
    ):
        assert [infer(stub, word) for word in ("", "Bearer s3cret")] == ["UNAUTHENTICATED", "OK"]

"""A server that cannot be used gives one sentence with the remedy, whichever library noticed."""

import errno
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kfp_edge.errors import StorageError
from kfp_edge.storage import http_download, s3
from kfp_edge.storage.fetch import fetch
from kfp_edge.storage.files import write_file
from support.tls_server import TlsServer, tls_server


class File(BaseHTTPRequestHandler):
    """Answers every request with the same file."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"a\n1\n")

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


class OtherRegion(File):
    """Refuses like S3 when the request is signed for another region than the bucket's."""

    def do_GET(self) -> None:
        self.do_PUT()

    def do_HEAD(self) -> None:
        self.send_response(400)
        self.end_headers()

    def do_PUT(self) -> None:
        body = b"<Error><Code>AuthorizationHeaderMalformed</Code><Message>wrong region</Message></Error>"
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(400)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def running(server: ThreadingHTTPServer) -> Iterator[str]:
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsServer]:
    with tls_server(tmp_path_factory.mktemp("tls"), File) as running_server:
        yield running_server


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that accepts connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials for an object store, and nothing else of the machine's environment."""
    for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "AWS_ENDPOINT_URL", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "hidden",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)


def error_of_fetch(uri: str, folder: Path) -> str:
    with pytest.raises(StorageError) as caught:
        fetch(uri, folder)
    assert list(folder.iterdir()) == []
    return str(caught.value)


def test_an_object_store_with_an_untrusted_certificate_names_the_variable_for_its_ca(
    server: TlsServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_S3_ENDPOINT", server.url)
    message = error_of_fetch("s3://plant/a.csv", tmp_path)
    assert message.endswith("of s3://plant/a.csv is not trusted; set AWS_CA_BUNDLE to a file with its CA.")


def test_an_object_store_whose_ca_is_trusted_is_read(
    server: TlsServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_S3_ENDPOINT", server.url)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(server.ca_file))
    assert fetch("s3://plant/a.csv", tmp_path).read_text() == "a\n1\n"


def test_a_web_server_with_an_untrusted_certificate_names_the_variable_for_its_ca(
    server: TlsServer, tmp_path: Path
) -> None:
    message = error_of_fetch(f"{server.url}/a.csv", tmp_path)
    assert message.endswith("a.csv is not trusted; set REQUESTS_CA_BUNDLE to a file with its CA.")


@pytest.mark.parametrize("uri", ["s3://plant/a.csv", "https://{host}/a.csv"])
def test_a_server_without_tls_is_not_one_with_an_untrusted_certificate(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, uri: str
) -> None:
    with running(ThreadingHTTPServer(("127.0.0.1", 0), File)) as address:
        host = address.removeprefix("http://")
        monkeypatch.setenv("AWS_S3_ENDPOINT", f"https://{host}")
        assert "does not answer with TLS; check " in error_of_fetch(uri.format(host=host), tmp_path)


@pytest.mark.parametrize(
    ("variable", "uri"), [("AWS_CA_BUNDLE", "s3://plant/a.csv"), ("REQUESTS_CA_BUNDLE", "https://127.0.0.1:9/a.csv")]
)
def test_a_ca_file_that_does_not_exist_is_named(
    server: TlsServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, uri: str
) -> None:
    monkeypatch.setenv("AWS_S3_ENDPOINT", server.url)
    monkeypatch.setenv(variable, "/no/ca.crt")
    assert error_of_fetch(uri, tmp_path).startswith(f"{variable} is /no/ca.crt, which does not exist;")


def test_an_object_store_that_never_answers_cannot_be_reached(
    silent: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(s3, "_READ_SECONDS", 0.2)
    monkeypatch.setattr(s3, "_ATTEMPTS", 1)
    monkeypatch.setenv("AWS_S3_ENDPOINT", silent)
    assert "cannot be reached; check AWS_S3_ENDPOINT" in error_of_fetch("s3://plant/a.csv", tmp_path)


def test_a_web_server_that_never_answers_cannot_be_reached(
    silent: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(http_download, "_READ_SECONDS", 0.2)
    monkeypatch.setattr(http_download, "_ATTEMPTS", 1)
    assert "cannot be reached; check the address" in error_of_fetch(f"{silent}/a.csv", tmp_path)


def test_an_object_store_whose_name_does_not_resolve_cannot_be_reached(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_S3_ENDPOINT", "https://store.invalid")
    assert "cannot be reached; check AWS_S3_ENDPOINT" in error_of_fetch("s3://plant/a.csv", tmp_path)


def test_a_web_server_whose_name_does_not_resolve_cannot_be_reached(tmp_path: Path) -> None:
    assert "cannot be reached; check the address" in error_of_fetch("https://data.invalid/a.csv", tmp_path)


def test_a_bucket_in_another_region_names_the_variable_for_the_region(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with running(ThreadingHTTPServer(("127.0.0.1", 0), OtherRegion)) as endpoint:
        monkeypatch.setenv("AWS_S3_ENDPOINT", endpoint)
        assert "another region" in error_of_fetch("s3://plant/a.csv", tmp_path)
        file = tmp_path / "a.csv"
        file.write_text("a")
        with pytest.raises(StorageError, match="'plant' is in another region .* set AWS_DEFAULT_REGION"):
            s3.upload(file, "s3://plant/b.csv")


def test_a_full_disk_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("kfp_edge.storage.files.os.fdopen", full)
    with pytest.raises(StorageError, match="No space left on device; .* free some space and run again"):
        write_file(tmp_path / "a", b"a")

"""Before a run, a registry is asked whether it would accept the images of the run; nothing is left there."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from kfp_edge.errors import ImageError
from kfp_edge.images.oci.references import ImageRepository
from kfp_edge.images.push_access import check_push_access
from support.registry import PASSWORD, USER, RegistryServer, write_auth_file


def repository(server: RegistryServer, name: str = "pump") -> ImageRepository:
    return ImageRepository.parse(f"{server.url}/{name}")


def test_a_registry_with_a_login_accepts_images_and_keeps_nothing(registry: RegistryServer) -> None:
    check_push_access(repository(registry, "never-pushed"))
    catalog = requests.get(
        f"https://{registry.host}/v2/_catalog",
        auth=(USER, PASSWORD),
        verify=str(registry.cert_dir / "ca.crt"),
        timeout=10,
    )
    assert "edge/never-pushed" not in catalog.json()["repositories"]


def test_a_wrong_password_is_refused_and_not_repeated(
    registry: RegistryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_auth_file(tmp_path / "auth.json", registry.host, "wr0ng-one")
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
    with pytest.raises(ImageError, match="refused the credentials; .* REGISTRY_AUTH_FILE") as caught:
        check_push_access(repository(registry))
    assert "wr0ng-one" not in str(caught.value)


@pytest.mark.parametrize("contents", ["{}", "not JSON", '{"auths": {"other.example.com": {"auth": "eDp5"}}}'])
def test_without_a_login_the_variable_for_it_is_named(
    registry: RegistryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, contents: str
) -> None:
    (tmp_path / "auth.json").write_text(contents)
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
    with pytest.raises(ImageError, match="REGISTRY_AUTH_FILE"):
        check_push_access(repository(registry))


def test_an_untrusted_certificate_names_the_variable_for_its_ca(
    registry: RegistryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KFP_EDGE_REGISTRY_CERT_DIR")
    with pytest.raises(ImageError, match="KFP_EDGE_REGISTRY_CERT_DIR"):
        check_push_access(repository(registry))


@pytest.mark.parametrize("host", ["127.0.0.1:9", "registry.invalid"])
def test_a_registry_that_cannot_be_reached_is_named(host: str) -> None:
    with pytest.raises(ImageError, match=f"docker://{host}/edge/pump cannot be reached"):
        check_push_access(ImageRepository.parse(f"docker://{host}/edge/pump"))


def test_a_layout_folder_that_does_not_exist_yet_can_be_written_to(tmp_path: Path) -> None:
    check_push_access(ImageRepository.parse(f"oci:{tmp_path}/new/registry/pump"))
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_no_layout_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ImageError, match="file is not a folder; name another one in registry"):
        check_push_access(ImageRepository.parse(f"oci:{tmp_path}/file/pump"))


class TokenRegistry(BaseHTTPRequestHandler):
    """A registry as Quay and GitHub have it: a token for one repository, from a service of its own."""

    scopes: list[str] = []  # noqa: RUF012

    def do_POST(self) -> None:
        if self.headers.get("Authorization") != "Bearer allowed":
            realm = f'Bearer realm="http://{self.headers["Host"]}/token",service="test"'
            self._answer(401, {}, {"WWW-Authenticate": realm})
        elif self.path.startswith("/v2/edge/unknown"):
            self._answer(404, {"errors": [{"code": "NAME_UNKNOWN", "message": "no"}]})
        else:
            self._answer(202, {}, {"Location": "/v2/uploads/1"})

    def do_GET(self) -> None:
        self.scopes += parse_qs(urlsplit(self.path).query)["scope"]
        self._answer(200, {"token": "allowed"})

    def do_DELETE(self) -> None:
        self._answer(405, {})

    def _answer(self, status: int, body: object, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def token_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("KFP_EDGE_REGISTRY_INSECURE", "1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), TokenRegistry)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"docker://127.0.0.1:{server.server_port}/edge"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_token_is_fetched_for_the_repository(token_registry: str) -> None:
    check_push_access(ImageRepository.parse(f"{token_registry}/pump"))
    assert TokenRegistry.scopes[-1] == "repository:edge/pump:pull,push"


def test_a_repository_that_has_to_be_created_first_is_named(token_registry: str) -> None:
    with pytest.raises(ImageError, match="accepts no images .*NAME_UNKNOWN.*; create the repository"):
        check_push_access(ImageRepository.parse(f"{token_registry}/unknown"))

"""Requests to a registry end, go to the right host, and ask for the rights that they need."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests
from requests.adapters import BaseAdapter

from kfp_edge.errors import ImageError
from kfp_edge.images import registry_session
from kfp_edge.images.blobs import delete_manifest, list_tags
from kfp_edge.images.oci.references import ImageRepository
from kfp_edge.images.registry import image_exists
from kfp_edge.images.registry_session import RegistrySession, open_session
from kfp_edge.images.tools import skopeo

DIGEST = f"sha256:{'0' * 64}"


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[ImageRepository]:
    """A repository of a registry that takes connections and says nothing."""
    monkeypatch.setenv("KFP_EDGE_REGISTRY_INSECURE", "1")
    monkeypatch.setattr(registry_session, "_TIMEOUT", (0.2, 0.2))
    monkeypatch.setattr(skopeo, "_ANSWER_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield ImageRepository("docker", f"127.0.0.1:{server.getsockname()[1]}/team/press")


def test_a_request_to_a_registry_that_does_not_answer_ends(silent: ImageRepository) -> None:
    with open_session(silent) as session, pytest.raises(ImageError, match=f"{silent} cannot be reached"):
        session.request("GET", "tags/list")


def test_skopeo_is_not_waited_for_either(silent: ImageRepository) -> None:
    with pytest.raises(ImageError, match=f"{silent} cannot be reached"):
        image_exists(silent.image(DIGEST))


class Recorder(BaseAdapter):
    """Answers every request with 200, and records its address."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str | None] = []

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        self.urls.append(request.url)
        response = requests.Response()
        response.status_code = 200
        return response

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("repository", "url"),
    [
        ("docker.io/team/press", "https://registry-1.docker.io/v2/team/press/tags/list"),
        ("quay.io/team/press", "https://quay.io/v2/team/press/tags/list"),
    ],
)
def test_the_api_of_docker_hub_has_another_name(repository: str, url: str) -> None:
    recorder = Recorder()
    with requests.Session() as session:
        session.mount("https://", recorder)
        RegistrySession(ImageRepository("docker", repository), session).request("GET", "tags/list")
    assert recorder.urls == [url]


class ScopedRegistry(BaseHTTPRequestHandler):
    """A registry whose tokens are good for the actions that they were fetched for, as Quay's and Harbor's are."""

    actions = {"GET": "pull", "DELETE": "delete"}  # noqa: RUF012

    def do_GET(self) -> None:
        if self.path.startswith("/token"):
            granted = "delete" if "delete" in self.path else "pull"
            self._answer(200, {"token": granted})
        else:
            self._answer_with_right(200, {"tags": ["1.4.0"]})

    def do_DELETE(self) -> None:
        self._answer_with_right(202, {})

    def _answer_with_right(self, status: int, body: object) -> None:
        action = self.actions[self.command]
        if self.headers.get("Authorization") == f"Bearer {action}":
            self._answer(status, body)
        else:
            realm = f'realm="http://{self.headers["Host"]}/token",service="test",scope="repository:team/press:{action}"'
            self._answer(401, {}, {"WWW-Authenticate": f"Bearer {realm}"})

    def _answer(self, status: int, body: object, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        pass


def test_to_delete_a_token_with_the_right_to_do_so_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KFP_EDGE_REGISTRY_INSECURE", "1")
    with ThreadingHTTPServer(("127.0.0.1", 0), ScopedRegistry) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with open_session(ImageRepository("docker", f"127.0.0.1:{server.server_port}/team/press")) as session:
            assert list_tags(session) == ["1.4.0"]
            delete_manifest(session, DIGEST)
        server.shutdown()


def test_plain_http_that_is_not_allowed_names_the_variable_that_allows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KFP_EDGE_REGISTRY_INSECURE", raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), ScopedRegistry) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        repository = ImageRepository("docker", f"127.0.0.1:{server.server_port}/team/press")
        with (
            open_session(repository) as session,
            pytest.raises(ImageError, match="speaks plain HTTP, .* with KFP_EDGE_REGISTRY_INSECURE=1"),
        ):
            list_tags(session)
        server.shutdown()

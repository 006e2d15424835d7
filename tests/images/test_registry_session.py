"""A registry that does not answer is not waited for without end, and one with two names is asked by the right one."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from requests.adapters import BaseAdapter

from kfp_edge.errors import ImageError
from kfp_edge.images import registry_session
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

"""A client of the Open Inference Protocol v2 over REST, for the candidate."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import requests

_TIMEOUT_SECONDS = 10.0
_MAX_TEXT = 120


@dataclass(frozen=True)
class ClientResponse:
    """A response: the HTTP status and the body as JSON, None if it is not JSON; status 0 without a response."""

    status: int
    body: Any
    text: str

    def __str__(self) -> str:
        return f"{self.status} {self.text}".strip() if self.status else self.text


class InferenceClient:
    """Sends requests over one connection that is kept, as an application next to the machine does.

    `ask_health` does not: while a candidate starts, a kept connection may lead to where its Service no longer does.
    """

    def __init__(self, url: str, name: str, version: str) -> None:
        self._url = url
        self._session = _new_session()
        self.model_path = f"/v2/models/{name}/versions/{version}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()

    def get(self, path: str) -> ClientResponse:
        """Send a GET request."""
        return self._send(self._session, "GET", path, None, {})

    def ask_health(self, path: str) -> ClientResponse:
        """Send a GET request over a connection of its own, as a kubelet does."""
        with _new_session() as session:
            return self._send(session, "GET", path, None, {"Connection": "close"})

    def post(self, path: str, body: bytes) -> ClientResponse:
        """Send a JSON body, well-formed or not."""
        return self._send(self._session, "POST", path, body, {"Content-Type": "application/json"})

    def infer(self, request: Mapping[str, Any]) -> ClientResponse:
        """Send an inference request (section "Inference Request JSON Object")."""
        return self.post(f"{self.model_path}/infer", json.dumps(request).encode())

    def _send(
        self, session: requests.Session, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> ClientResponse:
        try:
            response = session.request(method, self._url + path, data=body, headers=headers, timeout=_TIMEOUT_SECONDS)
        except requests.Timeout:
            return ClientResponse(0, None, f"no response within {_TIMEOUT_SECONDS:g} s")
        except requests.RequestException:
            return ClientResponse(0, None, "no response: the connection failed")
        try:
            return ClientResponse(response.status_code, response.json(), response.text[:_MAX_TEXT])
        except requests.JSONDecodeError:
            return ClientResponse(response.status_code, None, response.text[:_MAX_TEXT])


def _new_session() -> requests.Session:
    session = requests.Session()
    # a proxy of the environment does not reach a container on this machine or a Service of this cluster
    session.trust_env = False
    return session

"""The candidate as a client sees it: the Open Inference Protocol v2 over REST."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import requests

_TIMEOUT = 10.0
_SHOWN = 120


@dataclass(frozen=True)
class ClientResponse:
    """What came back: the HTTP status and the body as JSON; status 0 and no body when nothing did."""

    status: int
    body: Any
    text: str

    def __str__(self) -> str:
        return f"{self.status} {self.text}".strip() if self.status else self.text


class InferenceClient:
    """Keeps one connection open, as an application beside the machine does."""

    def __init__(self, url: str, name: str, version: str) -> None:
        self._url = url
        self._session = requests.Session()
        # A proxy of the environment is not on the way to a container on this machine or in this cluster.
        self._session.trust_env = False
        self.model = f"/v2/models/{name}/versions/{version}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()

    def get(self, path: str) -> ClientResponse:
        """Send a GET and return the answer."""
        return self._ask("GET", path, None)

    def post(self, path: str, body: bytes) -> ClientResponse:
        """Send a JSON body, well-formed or not, and return the answer."""
        return self._ask("POST", path, body)

    def infer(self, request: Mapping[str, Any]) -> ClientResponse:
        """Ask the model ("Inference", "Inference Request JSON Object")."""
        return self.post(f"{self.model}/infer", json.dumps(request).encode())

    def _ask(self, method: str, path: str, body: bytes | None) -> ClientResponse:
        headers = {} if body is None else {"Content-Type": "application/json"}
        try:
            answer = self._session.request(method, self._url + path, data=body, headers=headers, timeout=_TIMEOUT)
        except requests.Timeout:
            return ClientResponse(0, None, f"no answer within {_TIMEOUT:g} s")
        except requests.RequestException:
            return ClientResponse(0, None, "no answer: the connection failed")
        try:
            return ClientResponse(answer.status_code, answer.json(), answer.text[:_SHOWN])
        except requests.JSONDecodeError:
            return ClientResponse(answer.status_code, None, answer.text[:_SHOWN])

"""The HTTP face of the Open Inference Protocol v2, as a raw ASGI application."""

import re
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

import orjson

from kfp_edge_serving import __version__
from kfp_edge_serving.errors import RequestError
from kfp_edge_serving.metrics import CONTENT_TYPE, ModelMetrics, exposition
from kfp_edge_serving.model import Model, metadata

#: Largest body of a request, in bytes. Parsed, it takes up to 25 times as much, and an edge container is small.
_MAX_BODY = 4 << 20

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_JSON = b"application/json"


class App:
    """Answers for a fixed set of models, all of which have passed their self-test."""

    def __init__(self, models: Sequence[Model]) -> None:
        self._in_flight = 0
        self._metrics = [ModelMetrics(m.bundle.name, m.bundle.version, m.bundle.digest) for m in models]
        self._names = sorted({model.bundle.name for model in models})
        self._gets = {"/v2/health/live": b'{"live":true}', "/v2/health/ready": b'{"ready":true}', "/v2": _SERVER}
        self._infers: dict[str, tuple[Model, ModelMetrics]] = {}
        for model, metrics in zip(models, self._metrics, strict=True):
            versions = [m.bundle.version for m in models if m.bundle.name == model.bundle.name]
            self._add(model, metrics, sorted(versions, key=_natural))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI 3, "HTTP Connection Scope")."""
        path: str = scope["path"]
        if (route := self._infers.get(path)) is not None:
            if scope["method"] != "POST":
                await _refuse(send, 405, f"{path} takes POST, not {scope['method']}.", allow=b"POST")
            else:
                await self._infer(*route, receive, send)
        elif path == "/metrics" or path in self._gets:
            if scope["method"] != "GET":
                await _refuse(send, 405, f"{path} takes GET, not {scope['method']}.", allow=b"GET")
            elif path == "/metrics":
                await _answer(send, 200, exposition(self._metrics, self._in_flight), CONTENT_TYPE)
            else:
                await _answer(send, 200, self._gets[path])
        else:
            await _refuse(send, 404, self._unknown(path))

    def _add(self, model: Model, metrics: ModelMetrics, versions: list[str]) -> None:
        name, version = model.bundle.name, model.bundle.version
        roots = [f"/v2/models/{name}/versions/{version}"]
        if version == versions[-1]:
            roots.append(f"/v2/models/{name}")
        described = metadata(model.bundle, versions)
        ready = orjson.dumps({"name": name, "ready": True})
        for root in roots:
            self._gets[root] = described
            self._gets[f"{root}/ready"] = ready
            self._infers[f"{root}/infer"] = (model, metrics)

    async def _infer(self, model: Model, metrics: ModelMetrics, receive: Receive, send: Send) -> None:
        self._in_flight += 1
        try:
            body = await _body(receive)
            if body is None:
                return
            start = time.perf_counter()
            if len(body) > _MAX_BODY:
                code, answer = 413, _error(f"the body is larger than {_MAX_BODY} bytes; send fewer rows.")
            else:
                code, answer = _run(model, body)
            metrics.answered(code, time.perf_counter() - start)
            await _answer(send, code, answer)
        finally:
            self._in_flight -= 1

    def _unknown(self, path: str) -> str:
        parts = path.split("/")
        if parts[:3] == ["", "v2", "models"] and len(parts) > 3:
            known = ", ".join(self._names)
            if parts[3] not in self._names:
                return f"there is no model '{parts[3]}' here; there is {known}."
            return f"there is no {path} for model '{parts[3]}'; see /v2/models/{parts[3]} for its versions."
        return f"there is nothing at {path}; the Open Inference Protocol starts at /v2."


_SERVER = orjson.dumps({"name": "kfp-edge-serving", "version": __version__, "extensions": []})


def _natural(version: str) -> list[tuple[int, str]]:
    """Return what sorts versions so that the latest is last: the numbers in them compare as numbers."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", version)]


async def _body(receive: Receive) -> bytes | None:
    """Return the body, cut just above the limit; None when the client went away."""
    chunks: list[bytes] = []
    size = 0
    more = True
    while more and size <= _MAX_BODY:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        more = message.get("more_body", False)
    return b"".join(chunks)


def _run(model: Model, body: bytes) -> tuple[int, bytes]:
    try:
        return 200, model.infer(body)
    except RequestError as error:
        return 400, _error(str(error))


def _error(sentence: str) -> bytes:
    return orjson.dumps({"error": sentence})


async def _refuse(send: Send, code: int, sentence: str, allow: bytes | None = None) -> None:
    await _answer(send, code, _error(sentence), extra=[] if allow is None else [(b"allow", allow)])


async def _answer(
    send: Send, code: int, body: bytes, content_type: bytes = _JSON, extra: Sequence[tuple[bytes, bytes]] = ()
) -> None:
    headers = [(b"content-type", content_type), (b"content-length", b"%d" % len(body)), *extra]
    await send({"type": "http.response.start", "status": code, "headers": headers})
    await send({"type": "http.response.body", "body": body})

"""Ten thousand malformed requests: none causes a server error, and none leaks memory."""

import copy
import json
import random
import re
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from serving_support.bundles import mixed_bundle, mixed_request, numeric_bundle
from serving_support.raw_http import Client, get, head
from serving_support.server_process import events_of, memory, running

_SEED = 9112
_WARM_UP = 2_000
_REQUESTS = 10_000
_GROWTH = 8 << 20

#: Whose fault it is not: a method or an encoding that is not implemented, another version of HTTP.
_ALLOWED = {*range(200, 500), 501, 505}

_METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PATCH", "PRI", "BREW", "get", ""]
_PATHS = [
    *["/", "/v2", "/v2/", "/v2/models", "/v2/models/pump", "/v2/models/pump/versions/1/infer", "/v2/models//infer"],
    *["/metrics", "/openapi.json", "*", "http://h/v2", "//v2", "/v2/../v2", "/v2/models/%70ump/infer", "/%", "/%00"],
    *["/v2/models/mill/versions//ready", "/v2/models/pump/versions/9999999999999999999", "/?", "/#", "/\x7f", "/é"],
]
_HEADERS = [
    *["Content-Encoding: gzip", "Content-Encoding: identity", "Content-Type: text/html", "Connection: close"],
    *["Connection: Upgrade\r\nUpgrade: h2c", "Expect: 100-continue", "Authorization: Bearer x", "Host: i", "X"],
    *["Transfer-Encoding: chunked", "Transfer-Encoding: gzip", "Content-Length: 7", "Content-Length: -7"],
    "traceparent: x",
    "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    *[f"Inference-Header-Content-Length: {value}" for value in ("", "0", "1", "-1", "1.5", "x", "9" * 30, "\xb2")],
]  # fmt: skip
_VALUES: list[Any] = [
    *[None, True, False, 0, -1, 1, 3, 2**31, 2**63, 2**64, -(2**63), 1.5, 1e308, -1e308, 1e39, 5e-324],
    *["", "X", "FP32", "INT64", "BYTES", "BOOL", "FP16", "torque", "Type", "\0", "é", "x" * 1000, "NaN"],
    *[[], {}, [[]], [None], [1, 2, 3], [[1], [2, 3]], ["a"], [1.5] * 300, {"binary_data_size": 12}, {"name": "X"}],
    *[{"binary_data": True}, {"binary_data_output": True}, {"binary_data_size": -1}, {"binary_data_size": 2**70}],
]
_BYTES = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\xff",
    b":",
    b'"',
    b"{",
    b"[",
    b",",
    b"0",
    b"9",
    b"-",
    b"\r\n\r\n",
    b"\\u",
]


@dataclass
class Draft:
    """A request before it is made bytes."""

    method: str
    path: str
    body: Any = None
    raw: bytes = b""
    headers: list[str] = field(default_factory=list)

    def bytes(self, in_chunks: bool) -> bytes:
        text = b"" if self.body is None else json.dumps(self.body).encode()
        headers = [*self.headers]
        if self.raw:
            headers.insert(0, f"Inference-Header-Content-Length: {len(text)}")
        body = text + self.raw
        if in_chunks:
            headers.append("Transfer-Encoding: chunked")
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
        elif body:
            headers.append(f"Content-Length: {len(body)}")
        return head(f"{self.method} {self.path} HTTP/1.1", "Host: h", *headers) + body


def good() -> list[Draft]:
    numbers = {"name": "X", "datatype": "FP32", "shape": [1, 3]}
    outputs = [{"name": "label"}, {"name": "probabilities", "parameters": {"binary_data": True}}]
    rows = [{"Torque [Nm]": 42.8, "Type": "H", "count": 2, "on": True}, {"Type": "L", "count": 1, "on": False}]
    binary = {
        "inputs": [{**numbers, "parameters": {"binary_data_size": 12}}],
        "parameters": {"binary_data_output": True},
    }
    pump, mill = "/v2/models/pump/infer", "/v2/models/mill/versions/1/infer"
    return [
        Draft("GET", "/v2/health/ready"),
        Draft("GET", "/v2/models/mill/versions/1"),
        Draft("POST", pump, {"id": "a", "inputs": [{**numbers, "data": [1.0, 2.0, 3.0]}]}),
        Draft("POST", pump, {"inputs": [{**numbers, "data": [[1, 2, 3]]}], "outputs": outputs}),
        Draft("POST", mill, mixed_request()),
        Draft("POST", mill, {"rows": rows}),
        Draft("POST", pump, binary, struct.pack("<3f", 1, 2, 3)),
    ]


class Fuzzer:
    """Damages good requests, always in the same way."""

    def __init__(self) -> None:
        self._random = random.Random(_SEED)
        self._good = good()
        self._changes: list[Callable[[Draft], None]] = [
            self._change_line,
            self._change_headers,
            *[self._change_body] * 3,
            self._change_raw,
        ]

    def request(self) -> bytes:
        draft = copy.deepcopy(self._random.choice(self._good))
        for _ in range(self._random.randint(0, 3)):
            self._random.choice(self._changes)(draft)
        data = draft.bytes(in_chunks=self._random.random() < 0.2)
        return self._damaged(data) if self._random.random() < 0.5 else data

    def _change_line(self, draft: Draft) -> None:
        draft.method = self._random.choice([draft.method, *_METHODS])
        draft.path = self._random.choice([draft.path, *_PATHS]).encode().decode("latin-1")

    def _change_headers(self, draft: Draft) -> None:
        draft.headers += self._random.choices(_HEADERS, k=self._random.randint(1, 2))

    def _change_raw(self, draft: Draft) -> None:
        draft.raw = self._random.choice([b"", draft.raw[:-1], draft.raw * 2, self._random.randbytes(12)])

    def _change_body(self, draft: Draft) -> None:
        holder, key = self._place(draft)
        if holder is None:
            draft.body = self._random.choice(_VALUES)
        elif self._random.random() < 0.2:
            del holder[key]
        else:
            holder[key] = copy.deepcopy(self._random.choice(_VALUES))

    def _place(self, draft: Draft) -> tuple[Any, Any]:
        """Return a list or an object somewhere within the body, and where in it."""
        holder, key, value = None, None, draft.body
        while isinstance(value, dict | list) and value and (holder is None or self._random.random() < 0.7):
            holder = value
            key = self._random.choice(list(value)) if isinstance(value, dict) else self._random.randrange(len(value))
            value = holder[key]
        return holder, key

    def _damaged(self, data: bytes) -> bytes:
        for _ in range(self._random.randint(1, 4)):
            at = self._random.randrange(len(data) + 1)
            put = self._random.choice([b"", *_BYTES, self._random.randbytes(1), data[at : at + 20]])
            data = data[:at] + put + data[at + self._random.choice([0, 1, 2, 20]) :]
        return data


def statuses(port: int, data: bytes) -> set[int]:
    with Client(port) as client:
        answers = client.send(data).end().everything()
    return {int(status) for status in re.findall(rb"HTTP/1\.1 ([2-9]\d\d) ", answers)}


@pytest.mark.slow
def test_ten_thousand_malformed_requests_do_no_harm(tmp_path: Path) -> None:
    mixed_bundle(tmp_path)
    numeric_bundle(tmp_path)
    fuzzer = Fuzzer()
    # a test machine that stalls is no overload
    with running(tmp_path, "--max-wait", "60") as server, events_of(server) as events:
        for _ in range(_WARM_UP):
            statuses(server.port, fuzzer.request())
        before = memory(server.process)
        answered: Counter[int] = Counter()
        for _ in range(_REQUESTS):
            request = fuzzer.request()
            received = statuses(server.port, request)
            assert received, request
            assert received <= _ALLOWED, request
            answered.update(received)
        assert statuses(server.port, get("/v2/health/ready")) == {200}
        assert memory(server.process) - before < _GROWTH
    assert [event for event in events if event["level"] == "error"] == []
    # the damage is neither always fatal nor always harmless, and finds more than one way to be refused
    assert min(answered[200], answered[400], answered[404], answered[405], answered[431] + answered[501]) > 10

"""Compressed bodies: gzip and deflate, within the limit of a body as they were before."""

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kfp_edge_serving.errors import RequestError
from kfp_edge_serving.http_server.content_coding import decompress_body
from serving_support.bundles import PUMP_ROW
from serving_support.onnx_models import raw_request
from serving_support.raw_http import Answer, Client, chunked, exchange, get, post, statuses
from serving_support.server_process import Server, memory, running

INFER = "/v2/models/pump/infer"
LIMIT = 1 << 20
CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "GZip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "identity, gzip": gzip.compress,
    "identity": bytes,
    "": bytes,
}


def ask(server: Server, body: bytes, coding: str, *headers: str) -> Answer:
    (answer,) = exchange(server.port, post(INFER, body, f"Content-Encoding: {coding}", *headers))
    return answer


@pytest.fixture(scope="module")
def limited(pump_models: Path) -> Iterator[Server]:
    """Return a server that takes bodies of one MiB."""
    with running(pump_models, "--max-body", str(LIMIT)) as server:
        yield server


@pytest.mark.parametrize("coding", CODINGS)
def test_a_compressed_body_is_answered_as_it_is_without_compression(server: Server, coding: str) -> None:
    (plain,) = exchange(server.port, post(INFER, PUMP_ROW))
    answer = ask(server, CODINGS[coding](PUMP_ROW), coding)
    assert (answer.status, answer.body) == (200, plain.body)


def test_a_compressed_body_may_come_in_chunks_and_the_connection_stays_open(server: Server) -> None:
    body = gzip.compress(PUMP_ROW)
    request = chunked(INFER, body[:5], body[5:]).replace(b"Host: h", b"Host: h\r\nContent-Encoding: gzip")
    assert statuses(exchange(server.port, request * 2 + get("/v2"))) == [200, 200, 200]


def test_the_same_head_is_decompressed_every_time(server: Server) -> None:
    bodies = [PUMP_ROW, PUMP_ROW.replace(b"1, 2, 3", b"9, 2, 3"), PUMP_ROW]
    with Client(server.port) as client:
        answers = [client.send(post(INFER, gzip.compress(body), "Content-Encoding: gzip")).answer() for body in bodies]
    assert [answer and answer.status for answer in answers] == [200, 200, 200]
    assert len({answer.body for answer in answers if answer}) == 2


def test_the_length_of_the_json_part_is_that_before_compression(server: Server) -> None:
    body, json_bytes = raw_request({"X": ("FP32", np.array([[1, 2, 3]], np.float32))})
    length = f"Inference-Header-Content-Length: {json_bytes}"
    compressed, plain = ask(server, gzip.compress(body), "gzip", length), ask(server, body, "identity", length)
    assert (compressed.status, compressed.body) == (200, plain.body)


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "gzip, deflate", "gzip, gzip", "x"])
def test_another_coding_is_415_and_the_answer_says_what_is_taken(server: Server, coding: str) -> None:
    answer = ask(server, gzip.compress(PUMP_ROW), coding)
    assert (answer.status, answer.headers["accept-encoding"]) == (415, "gzip, deflate")
    message = f"this server does not take the content-encoding {coding}; send gzip or deflate alone."
    assert json.loads(answer.body) == {"error": message}


@pytest.mark.parametrize(
    ("coding", "body", "message"),
    [
        ("gzip", b"", "the body is not gzip: it ends too early."),
        ("gzip", PUMP_ROW, "the body is not gzip: incorrect header check."),
        ("gzip", zlib.compress(PUMP_ROW), "the body is not gzip: incorrect header check."),
        ("gzip", gzip.compress(PUMP_ROW)[:-1], "the body is not gzip: it ends too early."),
        ("gzip", gzip.compress(PUMP_ROW) + b"more", "the body is not gzip: incorrect header check."),
        ("deflate", gzip.compress(PUMP_ROW), "the body is not deflate: incorrect header check."),
        ("deflate", zlib.compress(PUMP_ROW) + b"more", "the body is not deflate: 4 bytes follow the data."),
    ],
    # gzip states the time: in a name, it would differ between the processes that run the tests
    ids=["empty", "plain", "zlib as gzip", "short gzip", "long gzip", "gzip as deflate", "long zlib"],
)
def test_what_is_not_of_the_coding_is_400(server: Server, coding: str, body: bytes, message: str) -> None:
    answer = ask(server, body, coding)
    assert (answer.status, json.loads(answer.body)["error"]) == (400, message)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_the_limit_of_a_body_is_that_before_compression(limited: Server, coding: str) -> None:
    compress = CODINGS[coding]
    assert ask(limited, compress(PUMP_ROW.ljust(LIMIT)), coding).status == 200
    answer = ask(limited, compress(PUMP_ROW.ljust(LIMIT + 1)), coding)
    message = f"decompressed, the body is larger than {LIMIT} bytes; send fewer rows."
    assert (answer.status, json.loads(answer.body)["error"]) == (413, message)


@pytest.mark.parametrize(
    "bomb",
    [gzip.compress(bytes(500 * LIMIT)), gzip.compress(bytes(LIMIT // 2)) * 500],
    ids=["one member", "many members"],
)
def test_a_body_that_decompresses_to_much_more_takes_no_more_memory_than_the_limit(
    limited: Server, bomb: bytes
) -> None:
    before = memory(limited.process, peak=True)
    with Client(limited.port) as client:
        answers = client.send(post(INFER, bomb, "Content-Encoding: gzip") * 4).end().answers()
    assert statuses(answers) == [413] * 4
    assert memory(limited.process, peak=True) - before < 16 * LIMIT


def test_gzip_may_have_many_members() -> None:
    assert decompress_body(gzip.compress(b"ab") * 10_000, b"gzip", LIMIT) == b"ab" * 10_000


@given(pieces=st.lists(st.binary(max_size=5000), min_size=1, max_size=4), limit=st.integers(0, 9000))
@settings(max_examples=100, deadline=None)
def test_any_data_come_back_if_they_are_within_the_limit(pieces: list[bytes], limit: int) -> None:
    body = b"".join(map(gzip.compress, pieces))
    data = b"".join(pieces)
    if len(data) <= limit:
        assert decompress_body(body, b"gzip", limit) == data
    else:
        with pytest.raises(RequestError) as refused:
            decompress_body(body, b"gzip", limit)
        assert refused.value.status == 413


@given(body=st.binary(max_size=100), position=st.integers(0, 60), coding=st.sampled_from([b"gzip", b"deflate"]))
@settings(max_examples=200, deadline=None)
def test_no_bytes_cause_another_error(body: bytes, position: int, coding: bytes) -> None:
    changed = CODINGS[coding.decode()](b"some text " * 9)
    changed = changed[:position] + body + changed[position:]
    with suppress(RequestError):
        decompress_body(changed, coding, LIMIT)

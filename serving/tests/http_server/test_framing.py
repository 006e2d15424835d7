"""Message framing of HTTP/1.1 (RFC 9112): where a request ends is never ambiguous."""

import re

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kfp_edge_serving.http_server.messages import HttpResponse
from serving_support.raw_http import (
    Client,
    chunked,
    connected,
    echo_body,
    exchange,
    feed,
    get,
    head,
    post,
    statuses,
)
from serving_support.server_process import Server

LIVE = "/v2/health/live"
#: A request that must not be answered when what stands before it is refused.
BEHIND = get("/behind")


def posted(*headers: str, body: bytes = b"hello", host: str = "Host: h") -> bytes:
    return head("POST / HTTP/1.1", host, *headers) + body


def in_chunks(body: bytes) -> bytes:
    return posted("Transfer-Encoding: chunked", body=body)


REFUSED = {
    "length and chunks": (400, posted("Content-Length: 5", "Transfer-Encoding: chunked", body=b"0\r\n\r\n")),
    "chunks and length": (400, posted("Transfer-Encoding: chunked", "Content-Length: 5", body=b"0\r\n\r\n")),
    "two lengths": (400, posted("Content-Length: 5", "Content-Length: 6")),
    "the same length twice": (400, posted("Content-Length: 5", "Content-Length: 5")),
    "a list of lengths": (400, posted("Content-Length: 5, 5")),
    "two lengths in one": (400, posted("Content-Length: 5 5")),
    "length with a sign": (400, posted("Content-Length: +5")),
    "negative length": (400, posted("Content-Length: -5")),
    "length in hexadecimal": (400, posted("Content-Length: 0x5")),
    "length with an underscore": (400, posted("Content-Length: 1_0")),
    "length with a fraction": (400, posted("Content-Length: 5.0")),
    "length in other digits": (400, posted("Content-Length: \xb2")),
    "empty length": (400, posted("Content-Length:")),
    "length beyond 64 bits": (400, posted("Content-Length: 18446744073709551621")),
    "length beyond reason": (413, posted("Content-Length: 9223372036854775807")),
    "length of thousands of digits": (413, posted(f"Content-Length: {'0' * 5000}5")),
    "space before the colon of the length": (400, posted("Content-Length : 5")),
    "space before the colon of the coding": (400, posted("Transfer-Encoding : chunked", body=b"0\r\n\r\n")),
    "coding twice": (400, posted("Transfer-Encoding: chunked", "Transfer-Encoding: chunked", body=b"0\r\n\r\n")),
    "coding that is none": (501, posted("Transfer-Encoding: identity", "Host2: h", body=b"")),
    "unknown coding": (501, posted("Transfer-Encoding: xchunked", body=b"0\r\n\r\n")),
    "coding before chunked": (501, posted("Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n")),
    "coding after chunked": (400, posted("Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n")),
    "quoted coding": (501, posted('Transfer-Encoding: "chunked"', body=b"0\r\n\r\n")),
    "empty coding": (400, posted("Transfer-Encoding:", body=b"0\r\n\r\n")),
    "list with an empty coding": (501, posted("Transfer-Encoding: ,chunked", body=b"0\r\n\r\n")),
    "coding behind a vertical tab": (400, posted("Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n")),
    "folded coding": (400, posted("Transfer-Encoding:", " chunked", body=b"0\r\n\r\n")),
    "folded length": (400, posted("Content-Length:", " 5")),
    "folded header": (400, posted("X: a", " b", "Content-Length: 5")),
    "header behind a bare LF": (400, posted("X: a\nTransfer-Encoding: chunked", body=b"0\r\n\r\n")),
    "header behind a bare CR": (400, posted("X: a\rTransfer-Encoding: chunked", body=b"0\r\n\r\n")),
    "lines that end in LF": (400, b"GET / HTTP/1.1\nHost: h\n\n"),
    "LF at the end of the head": (400, b"GET / HTTP/1.1\r\nHost: h\r\n\n"),
    "NUL in a value": (400, posted("X: a\0b", "Content-Length: 5")),
    "NUL in the target": (400, head("GET /\0 HTTP/1.1", "Host: h")),
    "DEL in a value": (400, posted("X: a\x7fb", "Content-Length: 5")),
    "space in a name": (400, posted("Content Length: 5")),
    "no name": (400, posted(": 5")),
    "no colon": (400, posted("Content-Length")),
    "first header indented": (400, head("GET / HTTP/1.1", " Host: h")),
    "no host": (400, head("GET / HTTP/1.1")),
    "two hosts": (400, head("GET / HTTP/1.1", "Host: h", "Host: i")),
    "two tokens": (400, posted("Authorization: Bearer a", "Authorization: Bearer b", "Content-Length: 5")),
    "two lengths of the JSON": (
        400,
        posted("Inference-Header-Content-Length: 1", "inference-header-content-length: 2", "Content-Length: 5"),
    ),
    "HTTP/1.0 in chunks": (400, head("POST / HTTP/1.0", "Host: h", "Transfer-Encoding: chunked") + b"0\r\n\r\n"),
    "HTTP/0.9": (505, head("GET /")),
    "HTTP/2": (505, head("GET / HTTP/2.0", "Host: h")),
    "HTTP/1.2": (400, head("GET / HTTP/1.2", "Host: h")),
    "HTTP in small letters": (400, head("GET / http/1.1", "Host: h")),
    "preface of HTTP/2": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "hello of TLS": (400, bytes.fromhex("16030100a5010000a10303")),
    "tunnel": (501, head("CONNECT h:80 HTTP/1.1", "Host: h")),
    "unknown method": (400, head("BREW / HTTP/1.1", "Host: h")),
    "method in small letters": (400, head("get / HTTP/1.1", "Host: h")),
    "authority as target": (400, head("GET h:80 HTTP/1.1", "Host: h")),
    "space at the end of the line": (400, head("GET / HTTP/1.1 ", "Host: h")),
    "tab behind the method": (400, head("GET\t/ HTTP/1.1", "Host: h")),
    "bytes in the target": (400, head("GET /\xff HTTP/1.1", "Host: h")),
    "chunk size with a sign": (400, in_chunks(b"+5\r\nhello\r\n0\r\n\r\n")),
    "chunk size with 0x": (400, in_chunks(b"0x5\r\nhello\r\n0\r\n\r\n")),
    "chunk size with an underscore": (400, in_chunks(b"0_5\r\nhello\r\n0\r\n\r\n")),
    "chunk size behind a space": (400, in_chunks(b" 5\r\nhello\r\n0\r\n\r\n")),
    "chunk size before a space": (400, in_chunks(b"5 \r\nhello\r\n0\r\n\r\n")),
    "chunk size beyond 64 bits": (400, in_chunks(b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n")),
    "chunk without a size": (400, in_chunks(b"\r\nhello\r\n0\r\n\r\n")),
    "chunk that is longer than its size": (400, in_chunks(b"5\r\nhello!\r\n0\r\n\r\n")),
    "chunk size before a bare LF": (400, in_chunks(b"5\nhello\r\n0\r\n\r\n")),
    "chunk before a bare LF": (400, in_chunks(b"5\r\nhello\n0\r\n\r\n")),
    "extension before a bare LF": (400, in_chunks(b"5;a\nhello\r\n0\r\n\r\n")),
    "extension with a CR": (400, in_chunks(b"5;a=\rb\r\nhello\r\n0\r\n\r\n")),
    "quoted line end in an extension": (400, in_chunks(b'5;a="\r\nhello"\r\n0\r\n\r\n')),
    "last chunk before a bare LF": (400, in_chunks(b"5\r\nhello\r\n0\n\n")),
    "trailer with a space before the colon": (400, in_chunks(b"0\r\nA : b\r\n\r\n")),
    "length as a trailer": (400, in_chunks(b"0\r\nContent-Length: 5\r\n\r\n")),
    "coding as a trailer": (400, in_chunks(b"0\r\nTransfer-Encoding: chunked\r\n\r\n")),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_strictly_http_is_refused_and_nothing_behind_it_is_answered(server: Server, case: str) -> None:
    status, data = REFUSED[case]
    with Client(server.port) as client:
        answers = client.send(data + BEHIND).answers()
    assert statuses(answers) == [status]
    assert answers[0].headers["connection"] == "close"


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_comes_behind_the_answers_to_the_good_requests_before_it(server: Server, case: str) -> None:
    status, data = REFUSED[case]
    with Client(server.port) as client:
        answers = client.send(get(LIVE) + get("/x") + data + BEHIND).answers()
    assert statuses(answers) == [200, 404, status]


ACCEPTED = {
    "query": (b"GET /a?b=c/d HTTP/1.1\r\nHost: h\r\n\r\n", [(b"GET", b"/a", b"")]),
    "absolute target": (b"GET http://x/a?b HTTP/1.1\r\nHost: h\r\n\r\n", [(b"GET", b"/a", b"")]),
    "absolute target without a path": (b"GET http://x HTTP/1.1\r\nHost: h\r\n\r\n", [(b"GET", b"/", b"")]),
    "empty lines before": (b"\r\n\r\nGET /a HTTP/1.1\r\nHost: h\r\n\r\n", [(b"GET", b"/a", b"")]),
    "spaces around a length": (posted("Content-Length: \t5\t "), [(b"POST", b"/", b"hello")]),
    "zeros before a length": (posted("Content-Length: 005"), [(b"POST", b"/", b"hello")]),
    "body of a GET": (b"GET /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", [(b"GET", b"/a", b"hello")]),
    "empty header": (posted("X:", "Content-Length: 5"), [(b"POST", b"/", b"hello")]),
    "names in any letters": (posted("cOnTeNt-LeNgTh: 5"), [(b"POST", b"/", b"hello")]),
    "coding in any letters": (
        posted("Transfer-Encoding: Chunked", body=b"5\r\nhello\r\n0\r\n\r\n"),
        [(b"POST", b"/", b"hello")],
    ),
    "chunks with extensions": (
        in_chunks(b'2;a\r\nhe\r\n3;b=c;d="e;f"\r\nllo\r\n0;g\r\n\r\n'),
        [(b"POST", b"/", b"hello")],
    ),
    "no chunks": (in_chunks(b"0\r\n\r\n"), [(b"POST", b"/", b"")]),
    "trailers": (
        chunked("/", b"hello", trailer=b"Authorization: a\r\nInference-Header-Content-Length: 1\r\nX:\r\n"),
        [(b"POST", b"/", b"hello")],
    ),
    "another method": (post("/a", b"hello").replace(b"POST", b"PATCH"), [(b"PATCH", b"/a", b"hello")]),
    "HTTP/1.0 without a host": (
        b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        [(b"GET", b"/a", b"")],
    ),
    "an offer of h2c": (
        get("/a", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AA"),
        [(b"GET", b"/a", b"")],
    ),
    "an offer of h2c with a body": (
        posted("Connection: Upgrade", "Upgrade: h2c", f"Content-Length: {len(BEHIND)}", body=BEHIND),
        [(b"POST", b"/", BEHIND)],
    ),
    "an offer of h2c with chunks": (
        posted("Connection: Upgrade", "Upgrade: h2c", "Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n\r\n"),
        [(b"POST", b"/", b"hello")],
    ),
    "an offer as a trailer": (
        chunked("/", b"hello", trailer=b"Connection: Upgrade\r\nUpgrade: h2c\r\n"),
        [(b"POST", b"/", b"hello")],
    ),
    "many offers": (
        get("/a", "Connection: Upgrade", "Upgrade: x") * 1500,
        [(b"GET", b"/a", b"")] * 1500,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ACCEPTED)
def test_what_is_strictly_http_is_parsed_and_the_connection_stays_open(echo: int, case: str) -> None:
    data, requests = ACCEPTED[case]
    answers = exchange(echo, data + BEHIND)
    assert [answer.body for answer in answers] == [
        *[echo_body(*request) for request in requests],
        echo_body(b"GET", b"/behind", b""),
    ]


# --- in pieces, and to a second reader ---

GOOD = [
    get("/a", "X: y"),
    post("/b?q", b"hello", "Authorization: Bearer x"),
    chunked("/c", b"he", b"llo", trailer=b"X: y\r\n"),
    post("/d", b"0\r\n\r\n", "Connection: Upgrade", "Upgrade: h2c"),
    head("HEAD http://h/e HTTP/1.1", "Host: h", "Expect: 100-continue"),
    head("GET /f HTTP/1.0", "Connection: keep-alive"),
    get("/g", "Connection: close"),
    post("/h", get("/hidden")),
]
WHOLE = b"".join([*GOOD[:6], b"\r\n", post("/i", BEHIND)])


def test_a_request_cut_in_two_anywhere_is_the_same_request() -> None:
    whole = feed([WHOLE])
    assert [path for _, path, _ in whole.requests] == [b"/a", b"/b", b"/c", b"/d", b"/e", b"/f", b"/i"]
    for cut in range(1, len(WHOLE)):
        assert feed([WHOLE[:cut], WHOLE[cut:]]) == whole


@pytest.mark.parametrize("case", [*REFUSED, *ACCEPTED])
def test_byte_by_byte_everything_is_answered_as_in_one_piece(case: str) -> None:
    data = (REFUSED[case][1] if case in REFUSED else ACCEPTED[case][0]) + BEHIND
    assert feed(data[at : at + 1] for at in range(len(data))) == feed([data])


def parse_with_h11(data: bytes) -> list[tuple[bytes, bytes, bytes]]:
    """Return the requests that h11 finds, each read on its own, until it sees a mistake or the end.

    RFC 9112 gives a server two freedoms (2.2, 3) that llhttp takes and h11 does not, so they are taken beforehand:
    empty lines before a request, and several spaces within its first line.
    """
    requests = []
    while data := data.lstrip(b"\r\n"):
        reader = h11.Connection(h11.SERVER)
        reader.receive_data(re.sub(rb"^([A-Z]+) +(\S+) +(HTTP/1\.[01]\r\n)", rb"\1 \2 \3", data))
        body = b""
        try:
            request = reader.next_event()
            while isinstance(event := reader.next_event(), h11.Data):
                body += event.data
        except h11.RemoteProtocolError:
            break
        if not (isinstance(request, h11.Request) and isinstance(event, h11.EndOfMessage)):
            break
        path = re.sub(rb"^\w+://[^/]*/?", b"/", request.target.partition(b"?")[0])
        requests.append((request.method, path, body))
        data = reader.trailing_data[0]
    return requests


@pytest.mark.parametrize("case", REFUSED)
def test_a_second_parser_finds_every_request_that_is_answered(case: str) -> None:
    data = GOOD[0] + REFUSED[case][1] + BEHIND
    assert feed([data]).requests == parse_with_h11(data)[:1]


@given(requests=st.lists(st.sampled_from(GOOD), max_size=5))
def test_every_request_that_a_second_parser_finds_is_parsed(requests: list[bytes]) -> None:
    last = GOOD[6]  # asks to close
    data = b"".join(requests)
    until = data.find(last)
    assert feed([data]).requests == parse_with_h11(data if until < 0 else data[: until + len(last)])


DAMAGE = [
    *[b"", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\r\n ", b" ", b"\t", b"\0", b"\x0b", b"\x7f", b"\xff"],
    *[b":", b",", b";", b'"', b"#", b"0", b"5", b"f", b"-", b"+", b"_", b"0x", b"0\r\n\r\n"],
    *[b"HTTP/1.0", b"chunked", b"identity", b"Upgrade", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n"],
    *[b"Connection: close\r\n", b"Connection: upgrade\r\nUpgrade: x\r\n", BEHIND],
]


@pytest.mark.slow
@settings(max_examples=2000, deadline=None)
@given(
    requests=st.lists(st.sampled_from(GOOD), min_size=1, max_size=3),
    damages=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3), st.sampled_from(DAMAGE)), min_size=1, max_size=3),
)
def test_a_second_parser_agrees_on_every_request_that_is_answered(
    requests: list[bytes], damages: list[tuple[float, int, bytes]]
) -> None:
    data = b"".join(requests)
    for where, removed, put in damages:
        at = int(where * len(data))
        data = data[:at] + put + data[at + removed :]
    ours = feed([data]).requests
    assert ours == parse_with_h11(data)[: len(ours)]


_TRACED = [
    post("/b?q", body, f"X-Request-Id: {number}", f"traceparent: 00-{number}{number}-01", *more)
    for body, number in ((b"world", "12"), (b"hello", "34"), (b"hello!", "56"))
    for more in ([], ["tracestate: a=1"], ["traceparent: 00-77-01"])
]
AGAIN = [
    *[*GOOD, *_TRACED],
    *[post("/b?q", b"world", "Authorization: Bearer x"), post("/b?q", b"hello", "Authorization: Bearer y")],
]


@pytest.mark.slow
@settings(max_examples=2000, deadline=None)
@given(
    pieces=st.lists(st.sampled_from([*AGAIN, *(data for _, data in REFUSED.values())]), min_size=1, max_size=4),
    damage=st.tuples(st.floats(0, 1), st.integers(0, 3), st.sampled_from(DAMAGE)),
)
def test_a_cached_head_means_the_same_as_a_parsed_one(pieces: list[bytes], damage: tuple[float, int, bytes]) -> None:
    """In pieces of whole requests heads are remembered, in one piece they are not."""
    where, removed, put = damage
    last = b"".join(pieces)
    at = int(where * len(last))
    pieces = [*pieces, *pieces, last[:at] + put + last[at + removed :], *pieces]
    assert feed(pieces) == feed([b"".join(pieces)])


def test_the_cache_of_heads_is_bounded() -> None:
    connection, transport = connected(lambda request: HttpResponse(200, request.path))
    for number in range(1000):
        connection.data_received(post(f"/{number}", b"hello"))
        connection.data_received(post(f"/{number}", b"hello"))
        connection.data_received(post(f"/{number}", b"", f"X: {'x' * 2000}"))
    assert transport.written.count(b"HTTP/1.1 200 ") == 3000
    assert len(connection._server.head_cache) <= 256

"""More work than the server can do: it answers or refuses every request, and stays within reach."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import uvloop

from kfp_edge_serving.inference.load_shedding import EventLoopLag
from serving_support.bundles import numeric_bundle
from serving_support.load import Outcome, ask, drive, http_request, in_background
from serving_support.server_process import Server, events_of, running

INFER = "/v2/models/pump/infer"
_SECONDS = 2.5


def batch(rows: int) -> bytes:
    numbers = b",".join([b"0.25"] * (3 * rows))
    return b'{"inputs": [{"name": "X", "datatype": "FP32", "shape": [%d, 3], "data": [%b]}]}' % (rows, numbers)


#: Larger than what is answered at once, so it is handed to a thread; and as large as what is answered at once.
HANDED, AT_ONCE = batch(9_000), batch(2_000)
SMALL = batch(1)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = tmp_path_factory.mktemp("models")
    numeric_bundle(models)
    return models


@contextmanager
def serving(models: Path, max_wait: float) -> Iterator[Server]:
    """Run a server in which requests wait for so many seconds at most, and read its log."""
    with running(models, "--max-wait", str(max_wait)) as server, events_of(server) as events:
        yield server
    assert [event for event in events if event["level"] == "error"] == []


def for_seconds(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() < end


@pytest.mark.parametrize(("body", "clients"), [(HANDED, 128), (AT_ONCE, 256)], ids=["handed to threads", "at once"])
def test_every_request_is_answered_or_refused_and_probes_stay_answered(models: Path, body: bytes, clients: int) -> None:
    with serving(models, max_wait=0.05) as server:
        load = partial(drive, server.port, [http_request("POST", INFER, body)], clients)
        with in_background(load) as outcome:
            probes = probed(server, for_seconds(_SECONDS))
        assert outcome.failures == {}
        assert outcome.answers.keys() == {200, 503}
        assert outcome.without_retry_after == 0
        assert probes == {200}
        # and the moment that it ends all is well
        assert [ask(server.port, "POST", INFER, SMALL)[0] for _ in range(20)] == [200] * 20
        overloaded = f"\nkfp_edge_overloaded_total {outcome.answers[503]}\n"
        assert overloaded in ask(server.port, "GET", "/metrics")[1].decode()


def probed(server: Server, going_on: Callable[[], bool]) -> set[int]:
    """Ask for the health again and again, and return all answers."""
    found = set()
    while going_on():
        found |= {ask(server.port, "GET", f"/v2/health/{state}")[0] for state in ("live", "ready")}
    return found


def test_a_little_more_than_nothing_is_no_overload(models: Path) -> None:
    with serving(models, max_wait=1) as server:
        outcome: Outcome = drive(server.port, [http_request("POST", INFER, SMALL)], 4, for_seconds(0.5))
        assert outcome.failures == {}
        assert outcome.answers.keys() == {200}


def test_the_last_of_many_requests_that_came_at_once_comes_too_late_and_the_next_one_does_not() -> None:
    async def requests() -> None:
        lag = EventLoopLag(asyncio.get_running_loop(), 0.05)
        while not lag.is_too_long(time.monotonic()):
            time.sleep(0.001)  # another request is answered
        await asyncio.sleep(0.02)
        assert not lag.is_too_long(time.monotonic())

    uvloop.run(requests())


def test_no_request_waited_for_a_server_that_stood_still() -> None:
    async def requests() -> None:
        lag = EventLoopLag(asyncio.get_running_loop(), 0.05)
        assert not lag.is_too_long(time.monotonic())
        time.sleep(0.2)
        assert not lag.is_too_long(time.monotonic())

    uvloop.run(requests())

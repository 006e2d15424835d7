"""When a request is refused because it would wait too long; time is the test's own."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest

from kfp_edge_serving.auth import Authenticator, AuthFiles
from kfp_edge_serving.http_server.messages import HttpRequest, HttpResponse
from kfp_edge_serving.http_server.router import Router
from kfp_edge_serving.inference import load_shedding
from kfp_edge_serving.inference.load_shedding import EventLoopLag
from kfp_edge_serving.limits import Limits
from kfp_edge_serving.models.model import ModelOptions
from kfp_edge_serving.models.repository import ModelRepository

MAX_WAIT = 0.4
#: The time that one request takes.
STEP = 0.01


class FakeLoop(asyncio.AbstractEventLoop):
    """Has a clock that only the test advances, and runs timers when it polls."""

    def __init__(self) -> None:
        self.now = 100.0
        self._timers: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, delay: float, callback: Callable[..., Any], *_args: Any, **_: Any) -> Any:
        self._timers.append((self.now + delay, callback))
        return callback

    def poll(self) -> None:
        """Run the timers that are due, as an event loop does each time that it looks for requests."""
        due = [timer for timer in self._timers if timer[0] <= self.now]
        for timer in due:
            self._timers.remove(timer)
            timer[1]()


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> FakeLoop:
    loop = FakeLoop()
    monkeypatch.setattr(load_shedding.time, "monotonic", lambda: loop.now)
    return loop


@pytest.fixture
def lag(loop: FakeLoop) -> EventLoopLag:
    return EventLoopLag(loop, MAX_WAIT)


def answer_without_polling(loop: FakeLoop, lag: EventLoopLag, requests: int) -> list[bool]:
    """Answer requests that arrived together, and return of each whether it had waited too long."""
    refused = []
    for _ in range(requests):
        refused.append(lag.is_too_long(loop.now))
        loop.now += STEP
    return refused


def test_of_requests_that_arrive_together_those_that_wait_too_long_are_refused(
    loop: FakeLoop, lag: EventLoopLag
) -> None:
    within = round(MAX_WAIT / STEP)
    refused = answer_without_polling(loop, lag, within + 10)
    assert not any(refused[:within])
    assert all(refused[within + 1 :])


def test_after_a_poll_requests_are_answered_again(loop: FakeLoop, lag: EventLoopLag) -> None:
    assert answer_without_polling(loop, lag, 60)[-1]
    loop.poll()
    assert not any(answer_without_polling(loop, lag, 10))


def test_many_requests_that_do_not_wait_are_all_answered(loop: FakeLoop, lag: EventLoopLag) -> None:
    for _ in range(50):
        assert not any(answer_without_polling(loop, lag, 20))
        loop.poll()


def test_a_request_after_a_pause_has_not_waited(loop: FakeLoop, lag: EventLoopLag) -> None:
    """A process that was suspended has not received anything in the meantime."""
    assert not lag.is_too_long(loop.now)
    loop.now += 10 * MAX_WAIT
    assert not lag.is_too_long(loop.now)


def test_an_idle_server_has_no_timer(loop: FakeLoop, lag: EventLoopLag) -> None:
    lag.is_too_long(loop.now)
    for _ in range(3):
        loop.now += MAX_WAIT
        loop.poll()
    assert loop._timers == []


# --- requests that wait for a thread ---

LARGE = b'{"inputs": [{"name": "X", "datatype": "FP32", "shape": [4000, 3], "data": [%b]}]}' % b",".join(
    [b"0.25"] * 12_000
)


class HeldExecutor(Executor):
    """Runs what was submitted only when the test wants it."""

    def __init__(self) -> None:
        self._work: list[Callable[[], None]] = []

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._work.append(lambda: future.set_result(call(*args, **kwargs)))
        return future

    def run_all(self) -> None:
        work, self._work = self._work, []
        for run in work:
            run()


def infer_request(body: bytes) -> HttpRequest:
    request = HttpRequest(has_certificate=False)
    request.method, request.path, request.body = b"POST", b"/v2/models/pump/infer", body
    return request


async def overloaded(models: Path, limits: Limits, requests: int) -> tuple[list[HttpResponse], str]:
    """Send large requests while no thread is free; return the responses in their order, and the metrics."""
    repository = ModelRepository(models, ModelOptions())
    repository.load()
    executor = HeldExecutor()
    router = Router(repository, Authenticator(AuthFiles()), limits, executor)
    pending = [router(infer_request(LARGE)) for _ in range(requests)]
    executor.run_all()
    responses = [one if isinstance(one, HttpResponse) else await one for one in pending]
    metrics = HttpRequest(has_certificate=False)
    metrics.method, metrics.path = b"GET", b"/metrics"
    scraped = router(metrics)
    assert isinstance(scraped, HttpResponse)
    return responses, scraped.body.decode()


def check_refused(response: HttpResponse) -> None:
    message = "the server has more requests than it can answer in time; try again later."
    assert (response.status, orjson.loads(response.body)) == (503, {"error": message})
    assert response.headers == (b"retry-after: 1\r\n",)


def test_more_requests_than_may_wait_for_a_thread_are_refused_at_once(pump_models: Path) -> None:
    send = partial(overloaded, pump_models, Limits(max_queued=2, max_wait=60.0), requests=5)
    responses, metrics = asyncio.run(send())
    assert [response.status for response in responses] == [200, 200, 503, 503, 503]
    check_refused(responses[-1])
    assert "\nkfp_edge_overloaded_total 3\n" in metrics
    assert 'kfp_edge_refused_requests_total{protocol="rest",reason="overloaded"} 3\n' in metrics
    assert 'kfp_edge_requests_total{model="pump",version="1",protocol="rest",code="503"} 3\n' in metrics


def test_a_request_that_waited_too_long_for_a_thread_is_refused(pump_models: Path) -> None:
    # no request gets a thread without any waiting at all
    responses, metrics = asyncio.run(overloaded(pump_models, Limits(max_wait=1e-9), requests=1))
    check_refused(responses[0])
    assert "\nkfp_edge_overloaded_total 1\n" in metrics

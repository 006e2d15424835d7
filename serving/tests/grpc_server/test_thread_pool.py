"""Few threads for many short calls, and more while some are blocked."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from kfp_edge_serving.grpc_server.thread_pool import ThreadPool

SECONDS = 30


@contextmanager
def workers(few: int, most: int) -> Iterator[ThreadPool]:
    made = ThreadPool(few, most)
    try:
        yield made
    finally:
        made.shutdown()


def test_every_call_is_run_with_its_arguments() -> None:
    with workers(2, 4) as pool:
        answers = [pool.submit(divmod, number, 7) for number in range(1000)]
        assert [answer.result(SECONDS) for answer in answers] == [divmod(number, 7) for number in range(1000)]


def test_an_error_is_the_result_of_its_call_and_the_thread_goes_on() -> None:
    with workers(1, 1) as pool:
        failed = pool.submit(divmod, 1, 0)
        with pytest.raises(ZeroDivisionError):
            failed.result(SECONDS)
        assert pool.submit(divmod, 7, 3).result(SECONDS) == (2, 1)


def test_blocked_calls_do_not_block_others() -> None:
    released = threading.Event()
    with workers(2, 8) as pool:
        stuck = [pool.submit(released.wait) for _ in range(7)]
        assert pool.submit(divmod, 7, 3).result(SECONDS) == (2, 1)
        released.set()
        assert all(call.result(SECONDS) for call in stuck)


def test_there_are_never_more_threads_than_allowed() -> None:
    released, names = threading.Event(), set()

    def note() -> bool:
        names.add(threading.get_ident())
        return released.wait(SECONDS)

    with workers(1, 3) as pool:
        calls = [pool.submit(note) for _ in range(10)]
        while len(names) < 3:
            pass
        released.set()
        assert all(call.result(SECONDS) for call in calls)
    assert len(names) == 3


def test_it_counts_the_calls_that_wait_or_run() -> None:
    released = threading.Event()
    with workers(1, 1) as pool:
        for _ in range(3):
            pool.submit(released.wait)
        assert pool.active == 3
        assert not pool.wait_idle(0.01)
        released.set()
        assert pool.wait_idle(SECONDS)
        assert pool.active == 0


def test_calls_submitted_before_the_shutdown_are_run() -> None:
    released = threading.Event()
    pool = ThreadPool(1, 1)
    pool.submit(released.wait)
    last = pool.submit(divmod, 7, 3)
    pool.shutdown()
    released.set()
    assert last.result(SECONDS) == (2, 1)

"""Threads with a queue in which nothing waits for longer than it may."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kfp_edge_serving.grpc_server.thread_queue import ThreadQueue
from serving_support.waiting import until

SECONDS = 30


def fail() -> None:
    raise AssertionError("refused")


@contextmanager
def queue_of(threads: int, max_wait: float = SECONDS, max_bytes: int = 1000) -> Iterator[ThreadQueue]:
    queue = ThreadQueue(threads, max_wait, max_bytes)
    try:
        yield queue
    finally:
        queue.close()


def note(results: list[int], number: int) -> Callable[[], None]:
    return lambda: results.append(number)


def test_work_is_run_in_its_order() -> None:
    results: list[int] = []
    with queue_of(1) as queue:
        for number in range(1000):
            assert queue.submit(note(results, number), fail, 0)
        until(lambda: len(results) == 1000)
    assert results == list(range(1000))


def test_so_much_is_run_at_once_and_no_more() -> None:
    released, started = threading.Event(), threading.Semaphore(0)

    def block() -> None:
        started.release()
        released.wait(SECONDS)

    with queue_of(2) as queue:
        for _ in range(3):
            queue.submit(block, fail, 0)
        assert started.acquire(timeout=SECONDS)
        assert started.acquire(timeout=SECONDS)
        assert not started.acquire(timeout=0.05)
        released.set()
        assert started.acquire(timeout=SECONDS)


def test_what_has_waited_for_too_long_is_refused_though_no_thread_is_free() -> None:
    released, refused = threading.Event(), threading.Event()
    with queue_of(1, max_wait=0.05) as queue:
        queue.submit(lambda: released.wait(SECONDS) and None, fail, 0)
        queue.submit(fail, refused.set, 0)
        assert refused.wait(SECONDS)
        released.set()


def test_what_waits_holds_only_so_many_bytes() -> None:
    released, running = threading.Event(), threading.Event()

    def block() -> None:
        running.set()
        released.wait(SECONDS)

    done: list[int] = []
    with queue_of(1, max_bytes=100) as queue:
        assert queue.submit(block, fail, 1000)  # nothing waits, so it may be large
        assert running.wait(SECONDS)
        assert queue.submit(note(done, 1), fail, 60)
        assert not queue.submit(note(done, 2), fail, 60)
        assert queue.submit(note(done, 3), fail, 40)
        released.set()
        until(lambda: done == [1, 3])
        assert queue.submit(note(done, 4), fail, 60)
        until(lambda: done == [1, 3, 4])

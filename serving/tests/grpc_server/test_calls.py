"""One call: what its client owes, and answers that wait for GOAWAY."""

from collections.abc import Sequence
from typing import Any

import pytest

from kfp_edge_serving.grpc_server.calls import Call, OpenCalls
from kfp_edge_serving.grpc_server.core import Operation, Tag


class FakeCore:
    """Notes the batches of a call, and can say that one is done."""

    def __init__(self) -> None:
        self.batches: list[tuple[list[str], Tag]] = []
        self.cancelled = 0

    def start_server_batch(self, operations: Sequence[Operation], tag: Tag) -> int:
        self.batches.append(([type(operation).__name__.removesuffix("Operation") for operation in operations], tag))
        return 0

    def cancel(self) -> int:
        self.cancelled += 1
        return 0

    def finish(self) -> None:
        """Say that the last batch is done."""
        event: Any = None
        self.batches[-1][1](event)

    @property
    def operations(self) -> list[list[str]]:
        return [operations for operations, _ in self.batches]


@pytest.fixture
def calls() -> OpenCalls:
    return OpenCalls(max_undelivered=3, max_undelivered_bytes=100_000)


def begin(calls: OpenCalls) -> tuple[Call, FakeCore]:
    """Return a call that waits for its message."""
    core = FakeCore()
    call = Call(calls, core, [])
    call.receive(lambda _call, _message: None)
    return call, core


ANSWER = ["SendInitialMetadata", "SendMessage", "SendStatusFromServer", "ReceiveCloseOnServer"]


def test_an_answer_is_one_batch_and_the_call_is_over_once_that_is_done(calls: OpenCalls) -> None:
    call, core = begin(calls)
    call.answer(b"answer")
    assert core.operations == [["ReceiveMessage"], ANSWER]
    assert len(calls) == 1
    core.finish()
    assert len(calls) == 0


def test_answers_wait_and_are_then_sent_in_their_order(calls: OpenCalls) -> None:
    sent: list[int] = []
    begun = [begin(calls) for _ in range(3)]
    for number, (_, core) in enumerate(begun):
        core.start_server_batch = lambda *_, number=number: sent.append(number) or 0  # type: ignore[method-assign]
    calls.delay()
    for call, _ in reversed(begun):
        call.answer(b"answer")
    assert sent == []
    assert len(calls.unanswered) == 3
    calls.release()
    assert sent == [2, 1, 0]
    late, core = begin(calls)
    late.answer(b"answer")
    assert core.operations == [["ReceiveMessage"], ANSWER]


def test_only_a_client_that_owes_something_is_cancelled(calls: OpenCalls) -> None:
    (_, waits_for_message), (served, waits_for_server), (answered, waits_for_client) = (begin(calls) for _ in range(3))
    served.expect_nothing()
    answered.answer(b"answer")
    calls.cancel_late(60)
    assert [core.cancelled for core in (waits_for_message, waits_for_server, waits_for_client)] == [0, 0, 0]
    calls.cancel_late(-1)
    assert [core.cancelled for core in (waits_for_message, waits_for_server, waits_for_client)] == [1, 0, 1]


@pytest.mark.parametrize(("answers", "size"), [(3, 10), (2, 60_000)])
def test_answers_that_are_not_taken_leave_no_room_until_they_are(calls: OpenCalls, answers: int, size: int) -> None:
    cores = []
    for _ in range(answers):
        assert calls.has_room()
        call, core = begin(calls)
        call.answer(bytes(size))
        cores.append(core)
    assert not calls.has_room()
    cores[0].finish()
    assert calls.has_room()


def test_several_values_of_a_name_are_joined_as_in_http(calls: OpenCalls) -> None:
    call = Call(calls, FakeCore(), [("tracestate", "a=1"), ("x", "y"), ("tracestate", "b=2"), ("k-bin", b"\xff")])
    assert call.find_metadata("tracestate") == b"a=1,b=2"
    assert call.find_metadata("k-bin") == b"\xff"
    assert call.find_metadata("authorization") is None

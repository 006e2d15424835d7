"""The short path of REST: JSON requests of one row to a quick model, on the event loop, in memory that is kept.

One poll of the event loop finds all requests that have arrived. The first of them is computed at once. Those right
behind it wait for the others of the same poll and are computed together, which takes a fraction of the time. So nobody
waits for a request that is not there yet.
"""

import asyncio
import time
from typing import Protocol

from kfp_edge_serving.codecs.one_row_json import OneRow, OneRowCodec
from kfp_edge_serving.errors import RequestError
from kfp_edge_serving.http_server.messages import HttpRequest, HttpResponse
from kfp_edge_serving.inference.handler import InferenceHandler
from kfp_edge_serving.models.repository import ServedModel

#: An unknown request is parsed once more to learn its frame, at most once in so many seconds.
_LEARN_SECONDS = 0.01


class Waiter(Protocol):
    """The connection that a request came by."""

    def hold(self, request: HttpRequest) -> None:
        """Read on, but answer nothing more before this request."""

    def answer(self, request: HttpRequest, body: bytes) -> None:
        """Write the response, status 200 and JSON."""

    def handle(self, request: HttpRequest) -> None:
        """Answer on the general path."""


#: The row, the request, its connection, and when it arrived.
_Taken = tuple[OneRow, HttpRequest, Waiter, float]


class ShortPath:
    """The requests of one row to one version of a model; of no other, so that no batch mixes models."""

    def __init__(self, served: ServedModel, handler: InferenceHandler[HttpRequest, HttpResponse]) -> None:
        self._loop = asyncio.get_running_loop()
        self._served = served
        self._handler = handler
        self._codec = OneRowCodec(served.model)
        self._max_rows = served.model.max_rows_at_once
        self._waiting: list[_Taken] = []
        #: When the last request was answered, and how long it took.
        self._answered = self._took = 0.0
        self._learned = 0.0

    def take(self, request: HttpRequest, waiter: Waiter, began: float) -> bool:
        """Answer a request now or at the end of this turn of the event loop; return False for the general path.

        Args:
            request: A request whose body is JSON.
            waiter: Its connection.
            began: When it arrived, of `time.monotonic`.
        """
        one = self._codec.parse(request.body)
        if one is None:
            if began - self._learned > _LEARN_SECONDS:
                self._learned = began
                self._codec.learn(request.body)
            return False
        taken = one, request, waiter, began
        # a poll takes longer than a request: what follows sooner was there at the same time
        if self._waiting or (began - self._answered < self._took and self._max_rows > 1):
            waiter.hold(request)
            self._wait(taken)
        else:
            self._compute([taken])
            self._answered = time.monotonic()
            self._took = self._answered - began
        return True

    def _wait(self, taken: _Taken) -> None:
        self._waiting.append(taken)
        if len(self._waiting) == 1:
            self._loop.call_soon(self._compute_waiting)
        elif len(self._waiting) == self._max_rows:
            self._compute_waiting()

    def _compute_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._compute(waiting)
            self._answered = time.monotonic()

    def _compute(self, requests: list[_Taken]) -> None:
        started = time.monotonic()
        try:
            outputs = self._served.model.run_rows([row for (row, _), _, _, _ in requests])
            bodies = self._codec.responses([request_id for (_, request_id), _, _, _ in requests], outputs)
        except Exception as error:  # noqa: BLE001 - the general path answers them, one by one
            if not isinstance(error, RequestError):
                self._handler.log_bug(self._served)
            for _, request, waiter, _ in requests:
                waiter.handle(request)
            return
        self._handler.finish_all(self._served, [(request, began) for _, request, _, began in requests], started)
        for (_, request, waiter, _), body in zip(requests, bodies, strict=True):
            waiter.answer(request, body)

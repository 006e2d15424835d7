"""ModelInfer: quick models are answered by the thread that polls, slow ones by other threads."""

import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from kfp_edge_serving.codecs import protobuf_codec
from kfp_edge_serving.codecs.oip_pb2 import ModelInferRequest
from kfp_edge_serving.codecs.request_templates import Match, RequestTemplates
from kfp_edge_serving.cpu_limit import usable_cpus
from kfp_edge_serving.errors import RequestError
from kfp_edge_serving.grpc_server.calls import Call
from kfp_edge_serving.grpc_server.statuses import refuse, report_bug, status_name
from kfp_edge_serving.grpc_server.thread_queue import ThreadQueue
from kfp_edge_serving.inference.handler import InferenceHandler, InferenceProtocol
from kfp_edge_serving.limits import Limits
from kfp_edge_serving.models.model import Model
from kfp_edge_serving.models.repository import ModelCatalog, ServedModel
from kfp_edge_serving.telemetry.refusals import Refusals
from kfp_edge_serving.telemetry.tracing import Tracer

#: Messages up to this many bytes are answered by the thread that polls; handing one to a thread costs some 30 us.
_MAX_INLINE_MESSAGE = 32 << 10
#: Messages like one of this size are always answered by that thread, also with a longer id.
_MAX_ROW_MESSAGE = _MAX_INLINE_MESSAGE - 1024
#: How often within the longest time that a call may wait it is looked for calls that wait.
_CHECKS_PER_MAX_WAIT = 8
#: ... and at least and at most so many seconds apart: meanwhile, probes wait.
_MIN_INTERVAL, _MAX_INTERVAL = 0.001, 0.05


class _Inference(NamedTuple):
    """One call of ModelInfer; `match` is what it is like, else `request` is its message."""

    call: Call
    message: bytes
    match: Match[ServedModel] | None
    request: ModelInferRequest | None
    templates: RequestTemplates[ServedModel]
    served: ServedModel

    @property
    def request_id(self) -> str | None:
        """The id that the client gave its request."""
        if self.match is not None:
            return self.match.request_id or None
        return None if self.request is None else self.request.id or None


class _Waiting(NamedTuple):
    inference: _Inference
    began: float


class InferenceMethod:
    """Answers ModelInfer; called by the thread that polls.

    One poll returns one event, and does not tell how many calls wait behind it. So from time to time, all that has
    arrived is collected first and then answered in its order: what has waited for too long is refused.
    """

    def __init__(
        self,
        catalog: Callable[[], ModelCatalog],
        limits: Limits,
        tracer: Tracer | None,
        access_log: bool,
        handle_arrived: Callable[[], None],
        refusals: Refusals,
    ) -> None:
        """Answer by the models of the catalog.

        Args:
            catalog: Returns the models that are served.
            limits: What clients may send, and how long calls may wait.
            tracer: Records a span of each inference.
            access_log: Whether every inference is logged, not only failed ones.
            handle_arrived: Handles all events that have arrived, and returns.
            refusals: Counts the calls that no model computes.
        """
        self._refusals = refusals
        self._catalog = catalog
        self._templates: RequestTemplates[ServedModel] = RequestTemplates()
        self._templates_of: ModelCatalog | None = None
        self._inference = InferenceHandler(_PROTOCOL, refusals, tracer, access_log)
        self._max_wait = limits.max_wait
        self._interval = min(_MAX_INTERVAL, max(_MIN_INTERVAL, limits.max_wait / _CHECKS_PER_MAX_WAIT))
        self._threads = ThreadQueue(usable_cpus(), limits.max_wait, limits.max_buffered)
        self._handle_arrived = handle_arrived
        self._waiting: deque[_Waiting] = deque()
        self._is_collecting = False
        self._next_collection = 0.0

    def close(self) -> None:
        """End the threads once they are idle."""
        self._threads.close()

    def answer(self, message: bytes, call: Call) -> bytes | None:
        """Return the answer to a message, None if it comes later.

        Raises:
            RequestError: the request is refused, or the server failed.
        """
        began = time.monotonic()
        try:
            inference = self._read(message, call)
        except RequestError as error:
            self._refusals.add("grpc", error)
            raise
        if inference.served.model.is_slow or len(message) > _MAX_INLINE_MESSAGE:
            self._submit(inference, began)
        elif not self._is_collecting and began < self._next_collection:
            return self._inference.handle(inference.served, inference, began)
        else:
            self._waiting.append(_Waiting(inference, began))
            if not self._is_collecting:
                self._collect_and_answer()
        return None

    def _read(self, message: bytes, call: Call) -> _Inference:
        catalog = self._catalog()
        if catalog is not self._templates_of:
            self._templates_of, self._templates = catalog, RequestTemplates()
        match = self._templates.find(message)
        if match is not None:
            return _Inference(call, message, match, None, self._templates, match.owner)
        request = protobuf_codec.parse(ModelInferRequest, message)
        served = catalog.find(request.model_name, request.model_version)
        return _Inference(call, message, None, request, self._templates, served)

    # --- quick models ---

    def _collect_and_answer(self) -> None:
        """Answer what waits, and what has arrived until then."""
        self._is_collecting = True
        try:
            while self._waiting:
                self._handle_arrived()
                until = time.monotonic() + self._interval
                while self._waiting and time.monotonic() < until:
                    self._answer_waiting(*self._waiting.popleft())
        finally:
            self._is_collecting = False
            self._next_collection = time.monotonic() + self._interval

    def _answer_waiting(self, inference: _Inference, began: float) -> None:
        if time.monotonic() - began > self._max_wait:
            self._refuse_late(inference)
        else:
            self._answer_later(inference, began)

    # --- slow models ---

    def _submit(self, inference: _Inference, began: float) -> None:
        call = inference.call
        call.expect_nothing()
        call.watch_close()
        work = partial(self._answer_later, inference, began)
        if not self._threads.submit(work, partial(self._refuse_late, inference), len(inference.message)):
            raise self._inference.refuse_overload(inference.served)

    def _answer_later(self, inference: _Inference, began: float) -> None:
        call = inference.call
        try:
            if not call.is_over:
                call.answer(self._inference.handle(inference.served, inference, began))
        except RequestError as error:
            refuse(call, error)
        except Exception:  # noqa: BLE001 - a bug must end neither the thread nor the calls behind this one
            report_bug(call)

    def _refuse_late(self, inference: _Inference) -> None:
        refuse(inference.call, self._inference.refuse_overload(inference.served))


def _infer(model: Model, inference: _Inference) -> bytes:
    if inference.match is not None:
        return inference.match.infer()
    request = inference.request
    assert request is not None
    answer = protobuf_codec.infer(model, request)
    if request.raw_input_contents and not protobuf_codec.holds_rows(model, request):
        one_thread = not model.is_slow and len(inference.message) <= _MAX_ROW_MESSAGE
        inference.templates.add(inference.message, request, model, inference.served, one_thread)
    return answer


_PROTOCOL = InferenceProtocol(
    name="grpc",
    infer=_infer,
    request_id=lambda inference: inference.request_id,
    traceparent=lambda inference: inference.call.find_metadata("traceparent"),
    tracestate=lambda inference: inference.call.find_metadata("tracestate"),
    response_status=lambda _: 200,
    span_status=lambda status: ("rpc.response.status_code", status_name(status)),
)

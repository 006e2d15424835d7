"""The handling of one inference, whichever protocol it came by: answer, count, log and trace, in this order."""

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from kfp_edge_serving.errors import RequestError, UnknownCategoryError
from kfp_edge_serving.inference.load_shedding import overload_error
from kfp_edge_serving.models.model import Model
from kfp_edge_serving.models.repository import ServedModel
from kfp_edge_serving.telemetry.access_log import InferenceRecord, log_inference
from kfp_edge_serving.telemetry.log import log
from kfp_edge_serving.telemetry.refusals import Refusals
from kfp_edge_serving.telemetry.trace_context import draw_ids
from kfp_edge_serving.telemetry.tracing import Tracer

#: What clients learn of an error of the server.
INTERNAL_ERROR = "internal server error; see the log of the server."

Request = TypeVar("Request")
Response = TypeVar("Response")


@dataclass(frozen=True)
class InferenceProtocol(Generic[Request, Response]):
    """What differs between the protocols.

    Attributes:
        name: The protocol in metrics and the log: `rest` or `grpc`.
        infer: Decodes a request, runs the model and encodes the response; raises RequestError.
        request_id: Returns the id that the client gave its request, None if there is none.
        traceparent: Returns the W3C header of that name, None if there is none.
        tracestate: Likewise; several of them are joined by commas.
        response_status: Returns the HTTP status code of a response: 200, or 202 if some rows have no answer.
        span_status: Returns the attribute of a span that holds the status, given the HTTP status code.
    """

    name: str
    infer: Callable[[Model, Request], Response]
    request_id: Callable[[Request], str | None]
    traceparent: Callable[[Request], bytes | None]
    tracestate: Callable[[Request], bytes | None]
    response_status: Callable[[Response], int]
    span_status: Callable[[int], tuple[str, str | int]]


class InferenceHandler(Generic[Request, Response]):
    """Handles the inferences of one protocol, from any thread."""

    def __init__(
        self,
        protocol: InferenceProtocol[Request, Response],
        refusals: Refusals,
        tracer: Tracer | None = None,
        access_log: bool = False,
    ) -> None:
        """Log every inference if `access_log`, else failed ones only; `refusals` counts those of overload."""
        self._protocol = protocol
        self._name = protocol.name
        self._refusals = refusals
        self._infer = protocol.infer
        self._response_status = protocol.response_status
        self._tracer = tracer
        self._access_log = access_log
        self._records_success = access_log or tracer is not None

    def handle(self, served: ServedModel, request: Request, began: float) -> Response:
        """Answer a request that arrived at `began` (of `time.monotonic`).

        Raises:
            RequestError: the request is refused, or, with status 500, the server failed.
        """
        status, message = 500, INTERNAL_ERROR
        waited = time.monotonic() - began
        try:
            response = self._infer(served.model, request)
            status, message = self._response_status(response), ""
            return response
        except RequestError as error:
            status, message = error.status, str(error)
            if isinstance(error, UnknownCategoryError):
                served.model.statistics.add_unknown_categories(error.column, error.count)
            raise
        except Exception as error:
            self.log_bug(served)
            raise RequestError(message, status) from error
        finally:
            seconds = time.monotonic() - began
            served.metrics.count(self._name, status, seconds, waited)
            if message or self._records_success:
                self._record(served, request, seconds, status, message or None)

    def log_bug(self, served: ServedModel) -> None:
        """Log the traceback of the exception that is being handled, which clients must not see."""
        log(
            "internal error",
            "error",
            protocol=self._name,
            model=served.name,
            version=served.version,
            traceback=traceback.format_exc(),
        )

    def finish_all(self, served: ServedModel, answered: list[tuple[Request, float]], started: float) -> None:
        """Count, log and trace requests that are about to be answered, status 200.

        Args:
            served: Their model.
            answered: The requests, and when each arrived (of `time.monotonic`).
            started: When the model started to compute them.
        """
        now = time.monotonic()
        served.metrics.count_all(self._name, 200, [(now - began, started - began) for _, began in answered])
        if self._records_success:
            for request, began in answered:
                self._record(served, request, now - began, 200, None)

    def refuse_overload(self, served: ServedModel) -> RequestError:
        """Count a request that is refused because of overload, and return the error.

        The log has a line a second for all of them: one for each would cost more than the refusal.
        """
        error = overload_error()
        self._refusals.add(self._name, error)
        served.metrics.count(self._name, error.status, 0.0)
        return error

    def _record(self, served: ServedModel, request: Request, seconds: float, status: int, error: str | None) -> None:
        record = InferenceRecord(
            protocol=self._name,
            model=served.name,
            version=served.version,
            status=status,
            seconds=seconds,
            error=error,
            traceparent=self._protocol.traceparent(request),
            tracestate=self._protocol.tracestate(request),
        )
        ids = None if self._tracer is None else draw_ids(record.traceparent)
        if error is not None or self._access_log:
            log_inference(record, self._protocol.request_id(request), ids)
        if self._tracer is not None and ids is not None:
            self._tracer.record_inference(record, ids, self._protocol.span_status(status))

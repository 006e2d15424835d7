"""The thread that polls the C core: it takes new calls, and handles whatever arrives of them."""

import threading
import time
import traceback
from collections.abc import Mapping

from kfp_edge_serving.errors import RequestError
from kfp_edge_serving.grpc_server.calls import Call, OpenCalls
from kfp_edge_serving.grpc_server.core import CompletionQueue, CoreServer, Event
from kfp_edge_serving.grpc_server.service import Method
from kfp_edge_serving.grpc_server.statuses import refuse
from kfp_edge_serving.telemetry.log import log
from kfp_edge_serving.telemetry.refusals import Refusals

#: Seconds for which all that has arrived is handled before anything is answered.
_MAX_COLLECTION = 0.05
#: A poll may do something for a connection and yet find no event; a second one that finds none is believed.
_EMPTY_POLLS = 2


class Poller:
    """Handles the events of a server; the methods answer in this thread, or by themselves in others."""

    def __init__(
        self, server: CoreServer, queue: CompletionQueue, calls: OpenCalls, max_calls: int, refusals: Refusals
    ) -> None:
        """Take at most `max_calls` at once."""
        self._refusals = refusals
        self._server = server
        self._queue = queue
        self._calls = calls
        self._max_calls = max_calls
        self._methods: Mapping[bytes, Method] = {}
        self._is_stopping = False
        #: Set once the server has ended.
        self.has_ended = threading.Event()
        #: Calls that have arrived.
        self.accepted = 0

    def start(self, methods: Mapping[bytes, Method]) -> None:
        """Take calls of these methods from now on, in a thread."""
        self._methods = methods
        self._server.start()
        self._request_call()
        threading.Thread(target=self._run, name="grpc", daemon=True).start()

    def stop(self) -> None:
        """Close the port and send GOAWAY; the server ends after the last call."""
        self._is_stopping = True
        self._server.shutdown(self._queue, self._end)

    def cancel_all_calls(self) -> None:
        """End all calls, after `stop`."""
        self._server.cancel_all_calls()

    def handle_arrived(self) -> None:
        """Handle the events of all that has arrived; called while one is being handled."""
        empty = 0
        until = time.monotonic() + _MAX_COLLECTION
        while empty < _EMPTY_POLLS and time.monotonic() < until:
            empty = 0 if self._handle(self._queue.poll(0.0)) else empty + 1

    def _run(self) -> None:
        while not self.has_ended.is_set():
            self._handle(self._queue.poll())

    def _handle(self, event: Event) -> bool:
        """Handle an event, and return whether it was one."""
        if event.tag is None:
            return False
        try:
            event.tag(event)
        except Exception:  # noqa: BLE001 - a bug must not end this thread, and operators must see it
            log("internal error", "error", protocol="grpc", traceback=traceback.format_exc())
        return True

    def _request_call(self) -> None:
        try:
            self._server.request_call(self._queue, self._queue, self._accept)
        except ValueError:
            if not self._is_stopping:
                raise

    def _accept(self, event: Event) -> None:
        if not event.success:  # the server ends
            return
        self._request_call()
        self.accepted += 1
        call = Call(self._calls, event.call, event.invocation_metadata)
        path = event.call_details.method
        method = self._methods.get(path)
        if method is None:
            self._refuse(call, f"there is no method {path.decode('utf-8', 'replace')} here.", 501)
        elif len(self._calls.unanswered) >= self._max_calls or not self._calls.has_room():
            self._refuse(call, "the server has more calls at once than it takes; try again later.", 429)
        else:
            method.begin(call)

    def _refuse(self, call: Call, message: str, status: int) -> None:
        error = RequestError(message, status)
        self._refusals.add("grpc", error)
        refuse(call, error)

    def _end(self, _event: Event) -> None:
        self._server.destroy()
        self.has_ended.set()

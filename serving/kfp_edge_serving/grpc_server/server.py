"""The gRPC server on a port of its own: start, timeouts and draining."""

import threading
import time
from collections.abc import Callable

from kfp_edge_serving.auth import Authenticator
from kfp_edge_serving.errors import RequestError
from kfp_edge_serving.grpc_server import health, reflection, service
from kfp_edge_serving.grpc_server.calls import OpenCalls
from kfp_edge_serving.grpc_server.core import create_server
from kfp_edge_serving.grpc_server.inference import InferenceMethod
from kfp_edge_serving.grpc_server.listener import GrpcListener, core_options
from kfp_edge_serving.grpc_server.poller import Poller
from kfp_edge_serving.limits import Limits
from kfp_edge_serving.models.repository import ModelCatalog
from kfp_edge_serving.telemetry.refusals import Refusals
from kfp_edge_serving.telemetry.tracing import Tracer

_TIMEOUT_CHECK_SECONDS = 0.5
#: Answers that clients have not taken, in calls that are allowed at once.
_UNDELIVERED = 16
#: Before GOAWAY, answers wait until no call has arrived for so many seconds, but not for longer than `_MAX_DELAY`.
_QUIET_SECONDS = 0.1
_MAX_DELAY = 0.5
_CANCEL_SECONDS = 5.0


class GrpcServer:
    """Serves whatever models the catalog has at the moment."""

    def __init__(
        self,
        catalog: Callable[[], ModelCatalog],
        is_ready: Callable[[], bool],
        authenticator: Authenticator,
        limits: Limits,
        tracer: Tracer | None = None,
        access_log: bool = False,
        refusals: Refusals | None = None,
    ) -> None:
        """Prepare a server, which does not listen yet.

        Raises:
            StartError: this version of grpcio lacks what is used here.
        """
        self._read_timeout = limits.read_timeout
        self._calls = OpenCalls(_UNDELIVERED * limits.grpc_max_calls, limits.max_buffered)
        self._core, queue = create_server(core_options(limits))
        self._listener = GrpcListener(authenticator)
        self._refusals = refusals or Refusals()
        self._poller = Poller(self._core, queue, self._calls, limits.grpc_max_calls, self._refusals)
        self._inference = InferenceMethod(
            catalog, limits, tracer, access_log, self._poller.handle_arrived, self._refusals
        )
        self._service = service.InferenceService(
            catalog, is_ready, authenticator, self._inference, self._refusals, limits.max_rows
        )
        self._health = health.HealthService(is_ready, (service.SERVICE,))
        self._is_started = False

    @property
    def in_flight(self) -> int:
        """The number of calls that are being received or answered."""
        return len(self._calls)

    def start(self, host: str, port: int) -> int:
        """Listen, and return the port, which is any free one if `port` is 0.

        Raises:
            StartError: the port is in use, or the address is not one of this host.
        """
        bound_port = self._listener.listen(self._core, host, port)
        self._poller.start(self._methods())
        self._is_started = True
        threading.Thread(target=self._enforce_timeouts, name="grpc-timeouts", daemon=True).start()
        return bound_port

    def _methods(self) -> dict[bytes, service.Method]:
        info = reflection.ReflectionMethod(self._service.check_access).methods()
        services = {
            service.SERVICE: self._service.methods(),
            health.SERVICE: self._health.methods(),
            **dict.fromkeys(reflection.SERVICES, info),
        }
        return {
            f"/{name}/{method}".encode(): handler
            for name, methods in services.items()
            for method, handler in methods.items()
        }

    def stop(self, grace_seconds: float) -> None:
        """Let clients go elsewhere; return once the calls in flight are answered, or cancelled after `grace_seconds`.

        The C core cancels calls that arrive after it was asked to stop, until clients have read its GOAWAY. So answers
        wait for a moment: clients that wait for an answer send no new call, and get GOAWAY before it.
        """
        if not self._is_started:
            return
        end = time.monotonic() + grace_seconds
        self._health.update()
        self._calls.delay()
        self._wait_until_quiet()
        self._poller.stop()
        self._health.close()
        self._calls.release()
        if not self._poller.has_ended.wait(max(0.0, end - time.monotonic())):
            self._poller.cancel_all_calls()
            self._poller.has_ended.wait(_CANCEL_SECONDS)
        self._inference.close()

    def _wait_until_quiet(self) -> None:
        """Wait until no call has arrived for a moment."""
        end = time.monotonic() + _MAX_DELAY
        accepted = -1
        while accepted != self._poller.accepted and time.monotonic() < end:
            accepted = self._poller.accepted
            time.sleep(_QUIET_SECONDS)

    def _enforce_timeouts(self) -> None:
        while not self._poller.has_ended.wait(min(_TIMEOUT_CHECK_SECONDS, self._read_timeout / 4)):
            for _ in range(self._calls.cancel_late(self._read_timeout)):
                self._refusals.add("grpc", RequestError("the message of the call did not arrive in time.", 408))
            self._health.update()

"""The life cycle of the server: listen, load the models, serve, drain."""

import asyncio
import gc
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import orjson
import uvloop

from kfp_edge_serving.auth import Authenticator, AuthFiles
from kfp_edge_serving.cpu_limit import usable_cpus
from kfp_edge_serving.errors import NOT_READY, RequestError, StartError
from kfp_edge_serving.http_server.listener import Listener
from kfp_edge_serving.http_server.messages import HttpRequest, HttpResponse, error_response
from kfp_edge_serving.http_server.server import HttpServer
from kfp_edge_serving.settings import Settings, find_unknown_variables
from kfp_edge_serving.stop_signals import StopSignals
from kfp_edge_serving.telemetry.known_labels import GRPC, REST, list_reasons
from kfp_edge_serving.telemetry.log import JsonHandler, log
from kfp_edge_serving.telemetry.refusals import Refusals

# these import numpy and onnxruntime, so the server imports them only once it listens
if TYPE_CHECKING:
    from kfp_edge_serving.grpc_server.server import GrpcServer
    from kfp_edge_serving.http_server.router import ConnectionStats, Router
    from kfp_edge_serving.models.repository import ModelRepository
    from kfp_edge_serving.telemetry.tracing import Tracer

_SECRETS_CHECK_SECONDS = 1.0
#: The log has one line for all requests that were refused for one reason in so many seconds.
_REFUSALS_LOG_SECONDS = 1.0
#: File descriptors that are not used for connections, but for models and gRPC.
_RESERVED_FILES = 64

Value = TypeVar("Value")


def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code."""
    logging.basicConfig(handlers=[JsonHandler()], level=logging.WARNING)
    if unknown := find_unknown_variables():
        log("unknown variables", "warning", names=", ".join(unknown), reason="they are no options of this server")
    try:
        uvloop.run(_Server(settings, time.perf_counter()).run())
    except StartError as error:
        log("failed", "error", error=str(error))
        return 1
    log("stopped")
    return 0


class _Server:
    """One run of the server.

    It listens and is live at once. A thread loads the models and then watches their folder. Once they are loaded, the
    router replaces the handler that answers "not ready", and the server is ready. A signal ends it at any time.
    """

    def __init__(self, settings: Settings, started: float) -> None:
        self._settings = settings
        self._started = started
        self._limits = replace(settings.limits, max_connections=_max_connections(settings.limits.max_connections))
        self._authenticator = Authenticator(
            AuthFiles(settings.tls_cert, settings.tls_key, settings.tls_client_ca, settings.token_file)
        )
        self._protocols = (REST,) if settings.grpc_port is None else (REST, GRPC)
        self._refusals = Refusals(list_reasons(self._list_protected(), self._protocols))
        self._http = HttpServer(self._answer_while_loading, self._limits, self._refusals)
        self._stop_watching = threading.Event()
        # there once the models are loaded
        self._router: Router | None = None
        self._grpc: GrpcServer | None = None
        self._tracer: Tracer | None = None

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT.

        Raises:
            StartError: a port is in use, or there is no model to serve.
        """
        settings = self._settings
        loop = asyncio.get_running_loop()
        stop = StopSignals(loop)
        listener = Listener(
            settings.host, settings.port, self._http.new_connection, lambda: self._authenticator.context
        )
        log("listening", host=settings.host, port=listener.port)
        background = [
            loop.create_task(work)
            for work in (self._http.enforce_timeouts(), self._reload_secrets(), self._log_refusals())
        ]
        serving = loop.create_task(self._load_and_serve(listener.port))
        stopped = loop.create_task(stop.requested.wait())
        try:
            await asyncio.wait([serving, stopped], return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                serving.result()
            await stopped
        finally:
            self._stop_watching.set()
            serving.cancel()  # it may still be loading
            await self._stop_serving(stop)
            await listener.close()
            await self._drain()
            for task in background:
                task.cancel()
            self._refusals.log()

    # --- loading ---

    async def _load_and_serve(self, port: int) -> None:
        """Load the models in a thread, then answer requests for them."""
        loop = asyncio.get_running_loop()
        loaded: asyncio.Future[ModelRepository] = loop.create_future()
        # a daemon, so that a signal ends the server also while it loads
        threading.Thread(target=self._load_and_watch, args=(loop, loaded), name="models", daemon=True).start()
        repository = await loaded
        self._router = router = self._create_router(repository)
        repository.changed = partial(_call_on_loop, loop, router.update)
        router.update(repository.catalog)
        self._http.handler = router
        self._http.take_short_path = router.take_short_path
        settings = self._settings
        grpc_port = None if self._grpc is None else self._grpc.start(settings.host, settings.grpc_port or 0)
        # what is loaded stays: the garbage collector need not visit it again and again
        gc.collect()
        gc.freeze()
        router.is_ready = True
        log("ready", port=port, grpc_port=grpc_port, seconds=round(time.perf_counter() - self._started, 3))

    def _load_and_watch(self, loop: asyncio.AbstractEventLoop, loaded: "asyncio.Future[ModelRepository]") -> None:
        """Load the models and set the result of `loaded`, then watch their folder; runs in a thread."""
        try:
            repository = self._load_models()
        except Exception as error:  # noqa: BLE001 - it is raised again by `await loaded`
            _call_on_loop(loop, loaded.set_exception, error)
            return
        _call_on_loop(loop, loaded.set_result, repository)
        if self._settings.watch:
            repository.watch(self._settings.watch, self._stop_watching)

    def _load_models(self) -> "ModelRepository":
        from kfp_edge_serving.models.late_folders import wait_for_folder
        from kfp_edge_serving.models.model import ModelOptions
        from kfp_edge_serving.models.repository import LoadOptions, ModelRepository
        from kfp_edge_serving.telemetry.tracing import create_tracer

        settings = self._settings
        limits = self._limits
        options = ModelOptions(
            settings.providers,
            settings.threads,
            limits.max_rows,
            settings.out_of_range,
            limits.max_groups,
            limits.max_history,
        )
        load_options = LoadOptions(settings.self_test, settings.require_bundle, settings.model_name)
        wait_for_folder(settings.models)
        repository = ModelRepository(settings.models, options, load_options)
        repository.load()
        self._tracer = create_tracer()
        if settings.grpc_port is not None:
            from kfp_edge_serving.grpc_server.server import GrpcServer

            self._grpc = GrpcServer(
                lambda: repository.catalog,
                self._is_ready,
                self._authenticator,
                self._limits,
                self._tracer,
                settings.access_log,
                self._refusals,
            )
        return repository

    def _create_router(self, repository: "ModelRepository") -> "Router":
        from kfp_edge_serving.http_server.router import Router

        executor = ThreadPoolExecutor(usable_cpus(), thread_name_prefix="inference")
        router = Router(
            repository,
            self._authenticator,
            self._limits,
            executor,
            self._tracer,
            self._settings.access_log,
            self._refusals,
        )
        router.connection_stats = self._connection_stats
        return router

    # --- serving ---

    def _list_protected(self) -> tuple[str, ...]:
        """Return the protocols whose requests may be refused for want of access."""
        if self._authenticator.is_open:
            return ()
        # grpc itself closes connections without the certificate that alone gives access
        return (REST,) if self._authenticator.needs_certificate else (REST, GRPC)

    def _is_ready(self) -> bool:
        return self._router is not None and self._router.is_ready

    def _connection_stats(self) -> "ConnectionStats":
        from kfp_edge_serving.http_server.router import ConnectionStats

        calls = 0 if self._grpc is None else self._grpc.in_flight
        return ConnectionStats(len(self._http.connections), self._http.in_flight + calls, self._protocols)

    def _answer_while_loading(self, request: HttpRequest) -> HttpResponse:
        if request.path == b"/v2/health/live":
            return HttpResponse(200, orjson.dumps({"live": True}))
        error = RequestError("the server is still loading its models; try again later.", 503, NOT_READY)
        if request.path != b"/v2/health/ready":  # for a probe this is the answer
            self._refusals.add("rest", error)
        return error_response(error)

    async def _log_refusals(self) -> None:
        while True:
            await asyncio.sleep(_REFUSALS_LOG_SECONDS)
            self._refusals.log()

    async def _reload_secrets(self) -> None:
        """Read replaced certificates and tokens; those that cannot be used leave the ones before in force."""
        last_error = ""
        while True:
            await asyncio.sleep(_SECRETS_CHECK_SECONDS)
            try:
                if self._authenticator.reload():
                    log("reloaded")
                last_error = ""
            except StartError as error:
                if str(error) != last_error:
                    last_error = str(error)
                    log("not reloaded", "error", error=last_error)

    # --- the end ---

    async def _stop_serving(self, stop: StopSignals) -> None:
        """Be ready no more, but go on answering until the clients have noticed.

        What sends the signal also takes the server out of what leads clients to it, such as the endpoints of a Service:
        at the same time, so that connections still arrive for a few seconds.
        """
        self._http.is_ending = True
        if self._router is None or not self._router.is_ready:
            return  # nothing was served so far
        self._router.is_ready = False
        log("draining", shutdown_delay=self._limits.shutdown_delay)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.hurried.wait(), self._limits.shutdown_delay)

    async def _drain(self) -> None:
        """Answer what is in flight over both protocols, and send the last spans."""
        seconds = self._limits.drain_timeout
        drains = [self._http.drain(seconds)]
        if self._grpc is not None:
            drains.append(asyncio.to_thread(self._grpc.stop, seconds))
        await asyncio.gather(*drains)
        if self._tracer is not None:
            self._tracer.close()


def _max_connections(requested: int) -> int:
    """Return how many connections this process may have within its limit of file descriptors."""
    import resource

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return max(1, min(requested, limit - _RESERVED_FILES)) if limit != resource.RLIM_INFINITY else requested


def _call_on_loop(loop: asyncio.AbstractEventLoop, call: Callable[[Value], object], value: Value) -> None:
    """Call on the event loop, unless a signal has ended it."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(call, value)

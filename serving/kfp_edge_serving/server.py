"""The life of the server: listen, load, answer, drain."""

import asyncio
import gc
import logging
import os
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson
import uvloop

from kfp_edge_serving.auth import Authenticator, AuthFiles
from kfp_edge_serving.cpu_limit import usable_cpus
from kfp_edge_serving.errors import RequestError, StartError
from kfp_edge_serving.http_server.messages import HttpRequest, HttpResponse, refusal
from kfp_edge_serving.http_server.server import HttpLimits, HttpServer
from kfp_edge_serving.settings import Settings
from kfp_edge_serving.telemetry.log import JsonHandler, log

if TYPE_CHECKING:
    from kfp_edge_serving.grpc_server.server import GrpcServer
    from kfp_edge_serving.http_server.router import ConnectionStats, Router
    from kfp_edge_serving.models.repository import ModelRepository
    from kfp_edge_serving.telemetry.tracing import Tracer

_RELOAD_SECONDS = 1.0
_ACCEPT_AGAIN_SECONDS = 0.2
#: More than that wait for the next turn of the loop, so that a flood of them leaves time for those that are open.
_ACCEPTED_AT_ONCE = 256
_HANDSHAKE_SECONDS = 10.0


def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code."""
    begun = time.perf_counter()
    logging.basicConfig(handlers=[JsonHandler()], level=logging.WARNING)
    try:
        uvloop.run(_Server(settings, begun).run())
    except StartError as error:
        log("refused", "error", error=str(error))
        return 1
    log("stopped")
    return 0


class _Server:
    """One run of the server."""

    def __init__(self, settings: Settings, begun: float) -> None:
        self._settings = settings
        self._begun = begun
        self._access = Authenticator(
            AuthFiles(settings.tls_cert, settings.tls_key, settings.tls_client_ca, settings.token_file)
        )
        self._stop_watching = threading.Event()
        self._app: Router | None = None
        self._grpc: GrpcServer | None = None
        self._tracer: Tracer | None = None

    async def run(self) -> None:
        """Serve until a signal comes.

        Raises:
            StartError: a port is taken, or there is no model to serve.
        """
        settings = self._settings
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            # not the loop's own handlers, which end with it: a second signal must not kill what ends in peace
            signal.signal(number, lambda *_: _tell(loop, lambda _: stop.set(), None))
        limits = HttpLimits(
            max_body=settings.max_body,
            max_connections=_connections(settings.max_connections),
            read_seconds=settings.read_timeout,
            idle_seconds=settings.idle_timeout,
        )
        service = HttpServer(_starting, limits)
        listener = _Listener(service, self._access, _listen(settings.host, settings.port))
        log("listening", host=settings.host, port=listener.port)
        tasks = [loop.create_task(service.sweep()), loop.create_task(self._reload())]
        models = loop.create_task(self._load(service, listener.port))
        stopped = loop.create_task(stop.wait())
        try:
            await asyncio.wait([models, stopped], return_when=asyncio.FIRST_COMPLETED)
            if models.done():
                models.result()
            await stopped
        finally:
            self._stop_watching.set()
            listener.close()
            await self._drain(service)
            for task in tasks:
                task.cancel()

    async def _load(self, service: HttpServer, port: int) -> None:
        """Have the models loaded in a thread that then watches their folder; answer for them from then on."""
        loop = asyncio.get_running_loop()
        loaded: asyncio.Future[ModelRepository] = loop.create_future()
        # a daemon, so that a signal ends the server also while it loads
        threading.Thread(target=self._models, args=(loop, loaded), name="models", daemon=True).start()
        repository = await loaded

        from kfp_edge_serving.http_server.router import LoadLimits, Router

        executor = ThreadPoolExecutor(usable_cpus(), thread_name_prefix="inference")
        settings = self._settings
        app = Router(
            repository, self._access, LoadLimits(settings.max_wait), executor, self._tracer, settings.access_log
        )
        app.transport = partial(self._transport, service)
        repository.changed = partial(_tell, loop, app.update)
        app.update(repository.catalog)
        self._app = app
        service.handler = app
        grpc_port = None if self._grpc is None else self._grpc.start(settings.host, settings.grpc_port or 0)
        # what was loaded stays: the collector need not look at it again and again
        gc.collect()
        gc.freeze()
        app.ready = True
        log("ready", port=port, grpc_port=grpc_port, seconds=round(time.perf_counter() - self._begun, 3))

    def _models(self, loop: asyncio.AbstractEventLoop, loaded: "asyncio.Future[ModelRepository]") -> None:
        settings = self._settings
        try:
            repository = self._repository()
        except Exception as error:  # noqa: BLE001 - it is raised again where the server waits for it
            _tell(loop, loaded.set_exception, error)
            return
        _tell(loop, loaded.set_result, repository)
        if settings.watch:
            repository.watch(settings.watch, self._stop_watching)

    def _repository(self) -> "ModelRepository":
        # imported here, so that the server listens before numpy and onnxruntime are loaded
        from kfp_edge_serving.models.model import ModelOptions
        from kfp_edge_serving.models.repository import ModelRepository
        from kfp_edge_serving.telemetry.tracing import tracer

        settings = self._settings
        options = ModelOptions(settings.providers, settings.threads, settings.max_rows, settings.out_of_range)
        repository = ModelRepository(settings.models, options, settings.self_test)
        repository.load()
        self._tracer = tracer()
        if settings.grpc_port is not None:
            from kfp_edge_serving.grpc_server.server import GrpcLimits, GrpcServer

            self._grpc = GrpcServer(
                lambda: repository.catalog,
                self._is_ready,
                self._access,
                GrpcLimits(settings.max_body, max_wait=settings.max_wait, read_seconds=settings.read_timeout),
                self._tracer,
                settings.access_log,
            )
        return repository

    def _transport(self, service: HttpServer) -> "ConnectionStats":
        grpc = self._grpc
        in_flight = service.in_flight + (0 if grpc is None else grpc.in_flight)
        from kfp_edge_serving.http_server.router import ConnectionStats

        return ConnectionStats(len(service.connections), in_flight, 0 if grpc is None else grpc.overloaded)

    def _is_ready(self) -> bool:
        return self._app is not None and self._app.ready

    async def _reload(self) -> None:
        """Read replaced secrets; those that cannot be used leave the ones before them in force."""
        told = ""
        while True:
            await asyncio.sleep(_RELOAD_SECONDS)
            try:
                if self._access.reload():
                    log("reloaded")
                told = ""
            except StartError as error:
                if str(error) != told:
                    told = str(error)
                    log("not reloaded", "error", error=told)

    async def _drain(self, service: HttpServer) -> None:
        seconds = self._settings.drain_timeout
        if self._app is not None:
            self._app.ready = False
            log("draining")
        grpc = self._grpc
        waits = [service.drain(seconds)]
        if grpc is not None:
            waits.append(asyncio.to_thread(grpc.stop, seconds))
        await asyncio.gather(*waits)
        if self._tracer is not None:
            self._tracer.close()


class _Listener:
    """The socket of REST.

    It accepts many at once. uvloop's own server accepts one connection in each turn of the loop: with many busy
    clients, new ones and the probes of the kubelet among them would wait for seconds.
    """

    def __init__(self, service: HttpServer, access: Authenticator, socket_: socket.socket) -> None:
        self._service = service
        self._access = access
        self._socket = socket_
        self._socket.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._opening: set[asyncio.Task[Any]] = set()
        self.port: int = socket_.getsockname()[1]
        self._listen()

    def close(self) -> None:
        """Accept nothing more; open connections stay."""
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _listen(self) -> None:
        if self._socket.fileno() >= 0:
            self._loop.add_reader(self._socket, self._accept)

    def _accept(self) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                client, _ = self._socket.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:  # no file descriptor is left; those of others have to be closed first
                log("not accepted", "warning", error=str(error.strerror))
                self._loop.remove_reader(self._socket)
                self._loop.call_later(_ACCEPT_AGAIN_SECONDS, self._listen)
                return
            client.setblocking(False)
            # the certificate that holds now: it may have been replaced
            opening = self._loop.create_task(self._open(client, self._access.context))
            self._opening.add(opening)
            opening.add_done_callback(self._opening.discard)

    async def _open(self, client: socket.socket, context: ssl.SSLContext | None) -> None:
        timeout = None if context is None else _HANDSHAKE_SECONDS
        try:
            await self._loop.connect_accepted_socket(
                self._service.connection, client, ssl=context, ssl_handshake_timeout=timeout
            )
        except OSError as error:  # of which errors of TLS are a kind
            client.close()
            log("not connected", "warning", error=str(error))


def _starting(request: HttpRequest) -> HttpResponse:
    """Answer while the models are being loaded."""
    if request.path == b"/v2/health/live":
        return HttpResponse(200, orjson.dumps({"live": True}))
    return refusal(RequestError("the server is still loading its models; try again later.", 503))


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        # asked for an address that is taken, Python says more than the reason
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise StartError(f"cannot listen on {host} port {port}: {reason}.") from error


def _connections(wanted: int) -> int:
    """Return how many connections this process may have, with some files left for models and gRPC."""
    import resource

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return max(1, min(wanted, limit - 64)) if limit != resource.RLIM_INFINITY else wanted


def _tell(loop: asyncio.AbstractEventLoop, call: Callable[[Any], None], value: object) -> None:
    """Call on the loop, unless a signal has ended it."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(call, value)

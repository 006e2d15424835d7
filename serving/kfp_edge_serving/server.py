"""From a folder of bundles to a listening server."""

import logging
import socket
import time
from pathlib import Path

import uvicorn

from kfp_edge_serving.app import App
from kfp_edge_serving.bundle import find_bundles, load_bundle
from kfp_edge_serving.errors import StartError
from kfp_edge_serving.log import JsonHandler, log
from kfp_edge_serving.model import Model

_DRAIN_SECONDS = 20
_KEEP_ALIVE_SECONDS = 75


def serve(models: Path, host: str, port: int) -> int:
    """Load every bundle under `models` and answer until a signal ends the process; return its exit code."""
    try:
        app = App([_load(folder) for folder in find_bundles(models)])
        listener = _listen(host, port)
    except StartError as error:
        log("refused", "error", error=str(error))
        return 1
    logging.basicConfig(handlers=[JsonHandler()], level=logging.WARNING)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
    try:
        log("listening", host=host, port=listener.getsockname()[1])
        uvicorn.Server(config).run([listener])
    finally:
        log("stopped")
    return 0


def _load(folder: Path) -> Model:
    start = time.perf_counter()
    model = Model(load_bundle(folder))
    bundle = model.bundle
    seconds = round(time.perf_counter() - start, 3)
    log("loaded", model=bundle.name, version=bundle.version, bundle_sha256=bundle.digest, seconds=seconds)
    return model


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise StartError(f"cannot listen on {host} port {port}: {error.strerror}.") from error

"""The servers that are measured: how each is started, and which requests it takes."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import triton_server
from environments import HERE, program, python_of, source_of
from payloads import Case, Encoding
from served_bundle import NAME, ServedBundle

_PEERS = HERE / "peers"
_QUIET = {"version": 1, "disable_existing_loggers": False, "root": {"level": "ERROR"}}


@dataclass(frozen=True)
class Ports:
    """Where a server listens; `spare` is for a port that a server needs and nobody uses."""

    http: int
    grpc: int
    spare: int


@dataclass(frozen=True)
class Server:
    """One server; `command` prepares a folder to run it in and returns how it is started there."""

    title: str
    command: Callable[[ServedBundle, Ports, Path], list[str | Path]]
    encodings: tuple[Encoding, ...]
    #: Whether it answers what it was asked, or always the same.
    infers: bool = True

    def takes(self, case: Case) -> bool:
        return case.encoding in self.encodings and (self.infers or case.rows == 1)


def _triton(served: ServedBundle, ports: Ports, folder: Path) -> list[str | Path]:
    return triton_server.prepare(served, ports.http, ports.grpc, folder)


def _before(served: ServedBundle, ports: Ports, folder: Path) -> list[str | Path]:
    """Return the command of the build before, from the history of this repository, with today's libraries."""
    code = source_of(BEFORE)
    listen = ["--host", "127.0.0.1", "--port", str(ports.http), "--grpc-port", str(ports.grpc)]
    command = [sys.executable, "-m", "kfp_edge_serving", "--models", served.models, *listen]
    return ["env", f"PYTHONPATH={code / 'serving'}", *command]


def ours(*options: str) -> Server:
    """Return our server with further options of its command line."""

    def command(served: ServedBundle, ports: Ports, folder: Path) -> list[str | Path]:
        listen = ["--host", "127.0.0.1", "--port", str(ports.http), "--grpc-port", str(ports.grpc)]
        # nobody else sends requests to it when it ends
        ends_at_once = ["--shutdown-delay", "0"]
        command = [sys.executable, "-m", "kfp_edge_serving", "--models", served.models]
        return [*command, *listen, *ends_at_once, *options]

    return Server("kfp-edge-serving", command, ("JSON", "binary", "gRPC"))


def _floor(served: ServedBundle, ports: Ports, folder: Path) -> list[str | Path]:
    return [program("floor"), str(ports.http)]


def _grpc_floor(served: ServedBundle, ports: Ports, folder: Path) -> list[str | Path]:
    return [sys.executable, HERE / "grpc_floor.py", str(ports.http), str(ports.grpc)]


def _mlserver(settings: dict[str, Any]) -> Callable[[ServedBundle, Ports, Path], list[str | Path]]:
    def command(served: ServedBundle, ports: Ports, folder: Path) -> list[str | Path]:
        listen = {"host": "127.0.0.1", "http_port": ports.http, "grpc_port": ports.grpc, "metrics_port": ports.spare}
        model = {
            "name": NAME,
            "implementation": "mlserver_runtime.OnnxModel",
            "parameters": {"uri": str(served.onnx_file), "version": "1"},
        }
        (folder / "settings.json").write_text(json.dumps(listen | settings))
        (folder / "model-settings.json").write_text(json.dumps(model))
        (folder / "mlserver_runtime.py").symlink_to(_PEERS / "mlserver_runtime.py")
        return [python_of("mlserver").with_name("mlserver"), "start", "."]

    return command


def _kserve(*options: str) -> Callable[[ServedBundle, Ports, Path], list[str | Path]]:
    def command(served: ServedBundle, ports: Ports, folder: Path) -> list[str | Path]:
        (folder / "quiet.json").write_text(json.dumps(_QUIET))
        listen = ["--http_port", str(ports.http), "--grpc_port", str(ports.grpc)]
        return [python_of("kserve"), _PEERS / "kserve_model.py", *listen, *options, served.onnx_file]

    return command


#: The commit before the server got a short path for one row and another carrier of gRPC.
BEFORE = "e580131"

OURS = ours()
OURS_BEFORE = Server(f"kfp-edge-serving, the build before ({BEFORE})", _before, ("JSON", "binary", "gRPC"))
TRITON = Server("Triton 2.51, Python backend", _triton, ("JSON", "binary", "gRPC"))
FLOOR = Server("C program that answers a constant (the floor)", _floor, ("JSON",), infers=False)
GRPC_FLOOR = Server("grpcio that answers a constant", _grpc_floor, ("gRPC",), infers=False)
#: As it comes: one worker process beside the server, access log, metrics.
MLSERVER = Server("MLServer, default", _mlserver({}), ("JSON", "gRPC"))
MLSERVER_TUNED = Server(
    "MLServer, tuned",
    _mlserver({"parallel_workers": 0, "debug": False, "metrics_endpoint": None, "gzip_enabled": False}),
    ("JSON", "gRPC"),
)
KSERVE = Server("KServe SDK, default", _kserve(), ("JSON", "binary", "gRPC"))
KSERVE_TUNED = Server("KServe SDK, no logs", _kserve("--log_config_file", "quiet.json"), ("JSON", "binary", "gRPC"))

#: In the order in which they are measured and reported.
ALL = (FLOOR, GRPC_FLOOR, OURS, OURS_BEFORE, TRITON, KSERVE, KSERVE_TUNED, MLSERVER, MLSERVER_TUNED)

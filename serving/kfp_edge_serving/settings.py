"""What the server is told: options, each also from the environment."""

import argparse
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

#: What happens to a value outside of the range of training.
RangePolicy = Literal["off", "count", "clip", "reject"]


@dataclass(frozen=True)
class Settings:
    """Every option; sizes in bytes, times in seconds."""

    models: Path
    host: str
    port: int
    grpc_port: int | None
    watch: float
    self_test: bool
    out_of_range: RangePolicy
    max_body: int
    max_rows: int
    max_wait: float
    max_connections: int
    read_timeout: float
    idle_timeout: float
    drain_timeout: float
    threads: int
    providers: tuple[str, ...]
    tls_cert: Path | None
    tls_key: Path | None
    tls_client_ca: Path | None
    token_file: Path | None
    access_log: bool


def parse(arguments: Sequence[str] | None = None) -> Settings:
    """Read the command line; an option that is not given comes from its environment variable, else its default."""
    parser = argparse.ArgumentParser(
        prog="kfp-edge-serving",
        description="Serve the bundles under a folder. Options may come from the environment: KFP_EDGE_MAX_BODY.",
    )
    add = _Adder(parser)
    add("models", Path, "/models", "folder of <name>/<version>/, or one bundle")
    add("host", str, "0.0.0.0", "address to listen on")
    add("port", _port, "8080", "port of REST and metrics; 0 is any that is free")
    add("grpc-port", _grpc_port, "8081", "port of gRPC; 0 is any that is free, off is none")
    add("watch", _seconds, "1", "seconds between looks for new bundles; 0 never looks")
    add("self-test", _switch, "on", "replay the recorded requests of a bundle before it is served: on or off")
    add(
        "out-of-range",
        str,
        "count",
        "values outside of the range of training: off, count, clip or reject",
        get_args(RangePolicy),
    )
    add("max-body", _count, str(4 << 20), "largest request in bytes; parsed it takes up to 25 times as much")
    add("max-rows", _count, "10000", "largest batch")
    add("max-wait", _seconds, "0.25", "seconds that a request may wait for its turn before it is refused with 503")
    add("max-connections", _count, "1024", "open REST connections")
    add("read-timeout", _seconds, "30", "seconds for a request to arrive")
    add("idle-timeout", _seconds, "75", "seconds that a connection may idle")
    add("drain-timeout", _seconds, "20", "seconds for requests in flight at SIGTERM")
    add("threads", _threads, "0", "threads of one inference; 0 is one for quick models, all processors for slow ones")
    add("providers", _names, "CPUExecutionProvider", "execution providers of onnxruntime, comma-separated")
    add("tls-cert", Path, None, "certificate chain in PEM; read again when replaced, as all of these")
    add("tls-key", Path, None, "its key in PEM")
    add("tls-client-ca", Path, None, "ask clients for a certificate that this CA signed")
    add("token-file", Path, None, "ask clients for the bearer token in this file")
    add("access-log", _switch, "off", "log every inference, not only refused ones: on or off")
    return Settings(**vars(parser.parse_args(arguments)))


class _Adder:
    """Adds an option with its environment variable."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._parser = parser

    def __call__(
        self, name: str, kind: object, default: str | None, text: str, choices: Sequence[str] | None = None
    ) -> None:
        variable = f"KFP_EDGE_{name.upper().replace('-', '_')}"
        told = text if default is None else f"{text} (default {default})"
        self._parser.add_argument(
            f"--{name}",
            type=kind,  # type: ignore[arg-type]
            # an empty variable is an unset one; argparse checks a default that is text as it would an option
            default=os.environ.get(variable) or default,
            choices=choices,
            help=told,
        )


def _port(text: str) -> int:
    return int(_number(text, 0, 65_535, "a port"))


def _grpc_port(text: str) -> int | None:
    return None if text == "off" else _port(text)


def _seconds(text: str) -> float:
    return _number(text, 0, 86_400, "a number of seconds")


def _count(text: str) -> int:
    return int(_number(text, 1, 2**31, "a number"))


def _threads(text: str) -> int:
    return int(_number(text, 0, 1024, "a number of threads"))


def _number(text: str, low: int, high: int, called: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not low <= number <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is not {called} from {low} to {high}")
    return number


def _switch(text: str) -> bool:
    if text not in ("on", "off"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither on nor off")
    return text == "on"


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())

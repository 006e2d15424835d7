"""The options of the server: on the command line, each also from an environment variable."""

import argparse
import math
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal, get_args

from kfp_edge_serving.limits import Limits

#: Options of KServe's own servers that have another name here.
_KSERVE_NAMES = {"--model-dir": "--models", "--http-port": "--port"}

#: What happens to a value outside of the range of training.
RangePolicy = Literal["off", "count", "clip", "reject"]


@dataclass(frozen=True)
class Settings:
    """Every option with its default; the options that set limits are in `limits`. Times in seconds."""

    models: Path = Path("/models")
    host: str = "0.0.0.0"
    port: int = 8080
    grpc_port: int | None = 8081
    watch: float = 1.0
    model_name: str | None = None
    require_bundle: bool = False
    self_test: bool = True
    out_of_range: RangePolicy = "count"
    threads: int = 0
    providers: tuple[str, ...] = ("CPUExecutionProvider",)
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    token_file: Path | None = None
    access_log: bool = False
    limits: Limits = field(default_factory=Limits)


def parse(arguments: Sequence[str] | None = None) -> Settings:
    """Read the command line; an option that is not given comes from its environment variable, else its default."""
    parser = argparse.ArgumentParser(
        prog="kfp-edge-serving",
        description="Serve the bundles under a folder. Options may come from the environment: KFP_EDGE_MAX_BODY.",
    )
    add = _OptionAdder(parser)
    add("models", Path, "folder of <name>/<version>/, or one bundle or ONNX file")
    add("model-name", str, "name of the only model in that folder; its own without this option")
    add("require-bundle", _switch, "refuse ONNX files without a bundle, which nobody has verified: on or off")
    add("host", _host, "address to listen on, or the name of a host; :: is every address of IPv4 and IPv6")
    add("port", _port, "port of REST and metrics; 0 is any free port")
    add("grpc-port", _grpc_port, "port of gRPC; 0 is any free port, off is none")
    add("watch", _seconds, "seconds between checks for new bundles; 0 never checks")
    add("self-test", _switch, "replay the recorded requests of a bundle before it is served: on or off")
    add(
        "out-of-range",
        str,
        "values outside of the range of training: off, count, clip or reject",
        choices=get_args(RangePolicy),
    )
    add("max-body", _count, "largest request in bytes; parsed it takes up to 25 times as much memory")
    add("max-rows", _count, "largest batch")
    add("max-groups", _count, "groups whose last rows are kept for the rolling windows of a model")
    add("max-history", _count, "memory for those rows of a model in bytes, which may lower the number of groups")
    add("max-wait", _seconds, "seconds that a request may wait for its turn before it is refused with 503")
    add("max-connections", _count, "open REST connections")
    add("grpc-max-calls", _count, "gRPC calls at once, waiting ones included; others are refused")
    add("read-timeout", _seconds, "seconds for a request to arrive")
    add("idle-timeout", _seconds, "seconds that a connection may idle")
    add("shutdown-delay", _seconds, "seconds after SIGTERM for which new connections are still answered")
    add("drain-timeout", _seconds, "seconds after that for requests in flight")
    add("threads", _threads, "threads of one inference; 0 is one for quick models, all processors for slow ones")
    add("providers", _names, "execution providers of onnxruntime, comma-separated")
    add("tls-cert", Path, "certificate chain in PEM; like the files below it is read again when it is replaced")
    add("tls-key", Path, "private key of the certificate in PEM")
    add("tls-client-ca", Path, "require a client certificate signed by this CA")
    add("token-file", Path, "require the bearer token in this file")
    add("access-log", _switch, "log every inference, not only failed ones: on or off")
    given = sys.argv[1:] if arguments is None else arguments
    values = vars(parser.parse_args([_normalize_option(text) for text in given]))
    limits = {field.name: values.pop(field.name) for field in fields(Limits) if field.name in values}
    return Settings(**values, limits=Limits(**limits))


def _normalize_option(text: str) -> str:
    """Return an argument as this parser names it: KServe spells options with underscores, and calls two otherwise."""
    name, equals, value = text.partition("=")
    if not name.startswith("--"):
        return text
    name = name.replace("_", "-")
    return _KSERVE_NAMES.get(name, name) + equals + value


class _OptionAdder:
    """Adds an option with its environment variable, and its default from `Settings` or `Limits`."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._parser = parser
        self._defaults = {field.name: field.default for owner in (Settings, Limits) for field in fields(owner)}

    def __call__(
        self, name: str, convert: Callable[[str], object], text: str, choices: Sequence[str] | None = None
    ) -> None:
        default = self._defaults[name.replace("-", "_")]
        variable = f"KFP_EDGE_{name.upper().replace('-', '_')}"
        self._parser.add_argument(
            f"--{name}",
            type=convert,
            # an empty variable counts as not set; argparse checks a default that is text as it would an option
            default=os.environ.get(variable) or default,
            choices=choices,
            help=text if default is None else f"{text} (default {_format_default(default)})",
        )


def _format_default(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ",".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _host(text: str) -> str:
    """Return the address; in a URL, one of IPv6 is in brackets."""
    return text[1:-1] if text.startswith("[") and text.endswith("]") else text


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


def _number(text: str, low: int, high: int, kind: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not low <= number <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is not {kind} from {low} to {high}")
    return number


def _switch(text: str) -> bool:
    if text not in ("on", "off"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither on nor off")
    return text == "on"


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())

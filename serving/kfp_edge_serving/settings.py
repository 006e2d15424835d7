"""The options of the server: on the command line, each also from an environment variable."""

import argparse
import difflib
import math
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, NoReturn, get_args

from kfp_edge_serving.limits import Limits

#: Options of KServe's own servers that have another name here.
_KSERVE_NAMES = {"--model-dir": "--models", "--http-port": "--port"}

_PREFIX = "KFP_EDGE_"
#: Variables of the sensor feed, which may be in the same environment.
_FEED_PREFIX = _PREFIX + "FEED_"
#: Variables of kfp-edge that are no options of the server, see docs/parameters.md.
_OTHER_VARIABLES = frozenset(
    _PREFIX + name
    for name in (
        "IMAGE_DIGEST", "REGISTRY_CERT_DIR", "REGISTRY_INSECURE", "GIT_TOKEN", "GIT_TOKEN_FILE", "GIT_USERNAME",
        "GIT_CA_FILE", "SERVING_IMAGE", "RUNTIME_IMAGE", "TOKEN", "MOUNTS", "SERVICE_ACCOUNT", "CACHE",
    )
)  # fmt: skip
#: What Kubernetes sets in each container for a Service called `kfp-edge`.
_SERVICE_LINK = re.compile(r".*_SERVICE_(HOST|PORT(_.*)?)|.*_PORT_\d+_(TCP|UDP|SCTP)(_.*)?|KFP_EDGE(_.*)?_PORT")

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
    parser, add = _create_parser()
    given = sys.argv[1:] if arguments is None else arguments
    values = add.complete(vars(parser.parse_args([_normalize_option(text) for text in given])))
    limits = {field.name: values.pop(field.name) for field in fields(Limits) if field.name in values}
    return Settings(**values, limits=Limits(**limits))


def parse_address(program: str, description: str | None, arguments: Sequence[str]) -> tuple[str, int]:
    """Return host and REST port of the server, for a program that connects to it; arguments as in `parse`."""
    parser = _Parser(prog=program, description=description)
    add = _OptionAdder(parser)
    add("host", _host, "address of the server; where that is every address of this host, the loopback one")
    add("port", _port, "port of REST")
    values = add.complete(vars(parser.parse_args(arguments)))
    return values["host"], values["port"]


def _create_parser() -> tuple["_Parser", "_OptionAdder"]:
    parser = _Parser(
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
    add("out-of-range", _range_policy, "values outside of the range of training: off, count, clip or reject")
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
    return parser, add


def _normalize_option(text: str) -> str:
    """Return an argument as this parser names it: KServe spells options with underscores, and calls two otherwise."""
    name, equals, value = text.partition("=")
    if not name.startswith("--"):
        return text
    name = name.replace("_", "-")
    return _KSERVE_NAMES.get(name, name) + equals + value


def find_unknown_variables() -> list[str]:
    """Return the variables of the environment that look like options and are none, with the one that may be meant."""
    known = {_variable(name) for name in _create_parser()[1].converters} | _OTHER_VARIABLES
    unknown = []
    for name in sorted(os.environ):
        is_ours = name.startswith(_PREFIX) and not name.startswith(_FEED_PREFIX)
        if is_ours and name not in known and not _SERVICE_LINK.fullmatch(name):
            similar = difflib.get_close_matches(name, known, 1, 0.85)
            unknown.append(f"{name} (did you mean {similar[0]}?)" if similar else name)
    return unknown


def _variable(option: str) -> str:
    return _PREFIX + option.upper().replace("-", "_")


class _Parser(argparse.ArgumentParser):
    """Says what is wrong without the usage of all options."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n")


class _OptionAdder:
    """Adds an option with its environment variable, and its default from `Settings` or `Limits`."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._parser = parser
        self._defaults = {field.name: field.default for owner in (Settings, Limits) for field in fields(owner)}
        self.converters: dict[str, Callable[[str], object]] = {}

    def __call__(self, name: str, convert: Callable[[str], object], text: str) -> None:
        key = name.replace("-", "_")
        default = self._defaults[key]
        self.converters[key] = convert

        def convert_argument(value: str) -> object:
            try:
                return convert(value)
            except ValueError as error:
                raise argparse.ArgumentTypeError(f"{value!r} is {error}") from error

        self._parser.add_argument(
            f"--{name}",
            type=convert_argument,
            default=argparse.SUPPRESS,
            help=text if default is None else f"{text} (default {_format_default(default)})",
        )

    def complete(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the values of all options: where the command line has none, of the variable, else the default."""
        missing = self.converters.keys() - values.keys()
        return values | {key: self._read_variable(key) for key in self.converters if key in missing}

    def _read_variable(self, key: str) -> object:
        name = _variable(key)
        text = os.environ.get(name)
        if not text:  # an empty variable counts as not set
            return self._defaults[key]
        try:
            return self.converters[key](text)
        except ValueError as error:
            hint = _explain_service_link(name) if text.startswith(("tcp://", "udp://", "sctp://")) else ""
            self._parser.error(f"{name} is {text!r}, {error}{hint}")


def _explain_service_link(variable: str) -> str:
    service = variable.removesuffix("_PORT").lower().replace("_", "-")
    return f"; Kubernetes sets it for the Service {service}: set `enableServiceLinks: false` in the spec of the pod"


def _format_default(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ",".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _host(text: str) -> str:
    """Return the address; in a URL, one of IPv6 is in brackets."""
    if not text:
        raise ValueError("no address; 0.0.0.0 is every address of IPv4, :: every one of IPv4 and IPv6")
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
        raise ValueError(f"not {kind} from {low} to {high}")
    return number


def _switch(text: str) -> bool:
    if text.lower() not in ("on", "off", "true", "false"):
        raise ValueError("neither on nor off")
    return text.lower() in ("on", "true")


def _range_policy(text: str) -> str:
    policies = get_args(RangePolicy)
    if text not in policies:
        raise ValueError(f"not one of {', '.join(policies)}")
    return text


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())

"""Sites that run real containers: the script of the template's Podman variant, on this machine."""

import json
import os
import re
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from kfp_edge.errors import CommandError, ImageError
from kfp_edge.fleet.simulation.machines import Machine, find_digest
from kfp_edge.fleet.simulation.metrics.store import SeriesKey
from kfp_edge.fleet.simulation.models import MODEL, infer_request
from kfp_edge.fleet.simulation.repository import git_environment
from kfp_edge.fleet.sites.files import SITE_LABEL
from kfp_edge.images.podman import podman, podman_environment
from kfp_edge.runtime.process import run
from kfp_edge.runtime.signals import deferred_signals
from kfp_edge.storage.files import write_file

_SCRIPT = "podman/kfp-edge-site"
#: Seconds within which a model has to be ready at first; later, a few times as long as the last one took, at least.
_FIRST_START = 120
_SHORTEST_START = 20
_TIMES_AS_LONG = 3
#: Requests that clients send to a container after each scrape.
_REQUESTS = 2
#: The series that a fleet is judged by.
_SERIES = re.compile(
    r"(?P<name>kfp_edge_(?:model_info|ready|requests_total|request_duration_seconds_bucket))(?:\{(?P<labels>.*)\})?"
    r" (?P<value>\S+)"
)
_LABEL = re.compile(r'(\w+)="([^"\\]*)"')
_SECONDS = 10.0


def has_podman() -> bool:
    """Whether there is a Podman on this machine."""
    return shutil.which("podman") is not None


def free_ports(count: int) -> list[int]:
    """Return ports of this machine that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def require_no_pods(sites: Sequence[str]) -> None:
    """Refuse sites that this machine is in earnest.

    Raises:
        ImageError: it runs pods of a site of that name, which the simulation would replace.
        CommandError: Podman does not work here.
    """
    for site in sites:
        if pods := podman("pod", "ps", "--filter", f"label={SITE_LABEL}={site}", "--format", "{{.Name}}").split():
            raise ImageError(
                f"this machine runs {pods[0]} of a site {site}, which the rehearsal would replace; remove it with "
                f"`podman pod rm --force {pods[0]}`, or rehearse with --containers 0."
            )


@contextmanager
def removed_pods(sites: Sequence[str], registry: str) -> Iterator[None]:
    """Remove the pods of sites, and the images of a registry, at the end of the block.

    Raises:
        CommandError: Podman refuses.
    """
    try:
        yield
    finally:
        with deferred_signals():
            _remove(sites, registry)


def _remove(sites: Sequence[str], registry: str) -> None:
    pods = podman("pod", "ps", "--format", '{{.ID}} {{index .Labels "' + SITE_LABEL + '"}}').splitlines()
    ours = [pod for pod, _, site in (line.partition(" ") for line in pods) if site in sites]
    if ours:
        podman("pod", "rm", "--force", "--time", "0", *ours)
    images = podman("images", "--format", "{{.ID}}", "--filter", f"reference={registry}/*/*").split()
    if images:
        podman("rmi", "--force", *sorted(set(images)))


@dataclass
class ContainerMachine(Machine):
    """A site with a container; clients at the site send a few requests after each scrape.

    Attributes:
        port: Where its server answers on this machine.
        checkout: The repository with the script.
        registries: The folder with the configuration of the registry for Podman.
    """

    port: int = field(kw_only=True)
    checkout: Path = field(kw_only=True)
    registries: Path = field(kw_only=True)
    _timeout: float = _FIRST_START
    _connection: HTTPConnection | None = None

    def _pull_and_run(self) -> str:
        # what /etc/kfp-edge-site.env has at a real site
        settings = {
            "REPOSITORY": str(self.link.path),
            "SITE": self.site.name,
            "STATE": str(self.folder),
            "TIMEOUT": f"{self._timeout:.0f}",
        }
        environment = podman_environment() | git_environment()
        environment |= {f"KFP_EDGE_{name}": value for name, value in settings.items()}
        environment["CONTAINERS_REGISTRIES_CONF"] = str(self.registries)
        environment["PATH"] += f"{os.pathsep}{Path(sys.executable).parent}"
        started = time.monotonic()
        try:
            # an interrupt does not reach the script, so that nothing is left half started
            run(["sh", self.checkout / _SCRIPT], env=environment, new_session=True)
        except CommandError as error:
            self.error = (error.output.splitlines() or [str(error)])[-1].removeprefix("kfp-edge-site: ")
        applied = self.folder / "applied.yaml"
        digest = find_digest(applied.read_text(encoding="utf-8")) if applied.exists() else ""
        if digest != self.digest:
            self._timeout = max(_SHORTEST_START, _TIMES_AS_LONG * (time.monotonic() - started))
        return digest

    def scrape(self) -> Mapping[SeriesKey, float]:
        """Return the metrics of the server, and then send the requests of another tick."""
        try:
            text = self._request("GET", "/metrics").decode()
            for _ in range(_REQUESTS):
                self._request("POST", f"/v2/models/{MODEL}/infer", json.dumps(infer_request(1.0)).encode())
        except (OSError, HTTPException):
            self._disconnect()
            return {}
        return dict(self._read(text))

    def _read(self, text: str) -> Iterator[tuple[SeriesKey, float]]:
        where = (("site", self.site.name), ("job", "kfp-edge"), ("instance", self.site.name))
        for line in text.splitlines():
            if match := _SERIES.fullmatch(line):
                labels = tuple(_LABEL.findall(match["labels"] or ""))
                yield (match["name"], (*where, *labels)), float(match["value"])

    def _request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        if self._connection is None:
            self._connection = HTTPConnection("127.0.0.1", self.port, timeout=_SECONDS)
        self._connection.request(method, path, body, {"Content-Type": "application/json"})
        return self._connection.getresponse().read()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


def write_registries(path: Path, address: str) -> Path:
    """Write what Podman needs to know of the registry: that it speaks HTTP; return the path."""
    write_file(path, f'[[registry]]\nlocation = "{address}"\ninsecure = true\n'.encode())
    return path

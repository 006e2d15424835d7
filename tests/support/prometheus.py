"""A real Prometheus: with the metrics that the servers of sites would have had in the past, or of running servers."""

import json
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Protocol

import requests

from kfp_edge.fleet.simulation.http_server import Handler, serving

#: The present of the tests.
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
#: How often a server is scraped.
SCRAPED_EVERY = timedelta(minutes=1)
_START_SECONDS = 30
_BOUNDS = ("0.01", "0.1", "1.0", "+Inf")


@dataclass(frozen=True)
class Served:
    """A server that runs an image at a site from one time to another; times are hours before the present.

    Attributes:
        requests: Answered in a minute, of which `errors` with a status of the server's own (500).
        client_errors: Requests in a minute that the server refuses (400), besides.
        latency: Of all requests, in seconds.
    """

    site: str
    digest: str
    hours: tuple[float, float]
    model: str = "pump"
    version: str = "1.0.0"
    is_ready: bool = True
    requests: int = 60
    errors: int = 0
    client_errors: int = 1
    latency: float = 0.005
    instance: str = "pod-1:8080"

    def samples(self) -> Iterator[tuple[str, str]]:
        """Yield samples with their names; those of one series in the order of time."""
        common = {"site": self.site, "job": "kfp-edge", "instance": self.instance}
        of_model = common | {"model": self.model, "version": self.version}
        digest = {"image_digest": self.digest} if self.digest else {}
        series = [
            ("kfp_edge_model_info", of_model | digest | {"verified": "true"}, 0, 1),
            ("kfp_edge_ready", common, 0, int(self.is_ready)),
            ("kfp_edge_requests_total", of_model | {"code": "200"}, self.requests - self.errors, 0),
            ("kfp_edge_requests_total", of_model | {"code": "500"}, self.errors, 0),
            ("kfp_edge_requests_total", of_model | {"code": "400"}, self.client_errors, 0),
            *(
                (
                    "kfp_edge_request_duration_seconds_bucket",
                    of_model | {"le": bound},
                    self.requests if self.latency <= float(bound) else 0,
                    0,
                )
                for bound in _BOUNDS
            ),
        ]
        begin, end = (NOW - timedelta(hours=hours) for hours in self.hours)
        for name, labels, per_minute, first in series:
            text = ",".join(f'{key}="{value}"' for key, value in labels.items())
            at, value = begin, first
            while at < end or at == NOW:
                yield name, f"{name}{{{text}}} {value} {at.timestamp():.0f}"
                at += SCRAPED_EVERY
                value += per_minute


class Server(Protocol):
    """A server whose metrics were scraped."""

    def samples(self) -> Iterator[tuple[str, str]]:
        """Yield samples with their names; those of one series in the order of time."""
        ...


@contextmanager
def prometheus_with(folder: Path, servers: Iterable[Server]) -> Iterator[str]:
    """Run a Prometheus that has these metrics; yield its URL."""
    lines: dict[str, list[str]] = {}
    for server in servers:
        for name, line in server.samples():
            lines.setdefault(name, []).append(line)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics").write_text("\n".join([*(line for each in lines.values() for line in each), "# EOF\n"]))
    if lines:
        create = ["promtool", "tsdb", "create-blocks-from", "openmetrics", folder / "metrics", folder / "data"]
        subprocess.run(create, check=True, capture_output=True)
    with _running(folder, "{}\n") as url:
        yield url


@contextmanager
def prometheus_scraping(folder: Path, *addresses: str, every: str = "200ms") -> Iterator[str]:
    """Run a Prometheus that scrapes servers at these addresses, HOST:PORT; yield its URL."""
    folder.mkdir(parents=True, exist_ok=True)
    targets = [{"targets": list(addresses)}]
    jobs = [{"job_name": "kfp-edge", "scrape_interval": every, "scrape_timeout": every, "static_configs": targets}]
    with _running(folder, json.dumps({"scrape_configs": jobs})) as url:
        yield url


@contextmanager
def prometheus_with_history(folder: Path, *, rules: Path) -> Iterator[str]:
    """Run a Prometheus on what `folder`/data has, with a rule file; yield its URL."""
    with _running(folder, json.dumps({"rule_files": [str(rules)]})) as url:
        yield url


@contextmanager
def prometheus_receiving(folder: Path, configuration: str) -> Iterator[str]:
    """Run a Prometheus that takes remote writes; yield its URL."""
    folder.mkdir(parents=True, exist_ok=True)
    with _running(folder, configuration, "--web.enable-remote-write-receiver") as url:
        yield url


@contextmanager
def _running(folder: Path, configuration: str, *options: str) -> Iterator[str]:
    """Run a Prometheus until the block ends; yield its URL."""
    (folder / "prometheus.yml").write_text(configuration)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address={address}",
        *options,
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait_until_ready(f"http://{address}", process, folder / "log")
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait()


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if requests.get(f"{url}/-/ready", timeout=5).ok:
                return
        except requests.ConnectionError:
            pass
        time.sleep(0.05)
    raise RuntimeError(log.read_text())


@contextmanager
def answering(document: object) -> Iterator[str]:
    """Run a server whose answer to every query is this; yield its URL."""

    class Answering(Handler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.answer(HTTPStatus.OK, json.dumps(document).encode())

    with serving(Answering) as address:
        yield f"http://{address}"

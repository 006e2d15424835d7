"""A real collector as a site runs it: our configuration, with addresses and folders of a test."""

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import requests
import yaml

from kfp_edge.observability.demo.certificates import write_certificates
from kfp_edge.observability.site.forms import Form, SiteSettings, render_form
from support.otlp_hub import OtlpHub
from support.paths import ROOT

_WAIT_SECONDS = 600
_END = "/end"
#: The entry point of the image.
START = ROOT / "deploy/observability/site/start.sh"
NO_COLLECTOR = (
    "no OpenTelemetry Collector with the components of deploy/observability/site/ocb.yaml: name it in "
    "KFP_EDGE_OTELCOL, or put kfp-edge-collector on the PATH, and bbolt beside it"
)


def find_collector() -> Path | None:
    """Return the program, None where there is none."""
    named = os.environ.get("KFP_EDGE_OTELCOL")
    program = Path(named or shutil.which("kfp-edge-collector") or "")
    return program if program.is_file() and program.with_name("bbolt").is_file() else None


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition; what it was is in the error."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.05)


@dataclass
class Targets:
    """Servers whose counter grows by one with each scrape, so that its value is the number of the scrape.

    Attributes:
        count: How many there are; each has a path of its own.
        most: A server answers so many scrapes, and none after that.
        page: What each shows besides the counter.
        served: The last number that each has shown.
    """

    count: int
    most: int
    page: str = ""
    served: dict[str, int] = field(default_factory=dict)
    port: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, path: str) -> str | None:
        if path == _END:
            return "# TYPE end gauge\nend 1\n"
        with self._lock:
            number = self.served.get(path, 0) + 1
            if number > self.most:
                return None
            self.served[path] = number
        return f"# TYPE scrapes_total counter\nscrapes_total {number}\n{self.page}"

    @property
    def are_finished(self) -> bool:
        return len(self.served) == self.count and min(self.served.values()) == self.most

    def write(self, file: Path) -> None:
        """Write what file_sd reads."""
        self._write(file, {f"/{number}": f"t{number}" for number in range(self.count)})

    def write_end(self, file: Path) -> None:
        """Write one other target only: once that is at the hub, so is all that was scraped before."""
        self._write(file, {_END: "end"})

    def _write(self, file: Path, instances: dict[str, str]) -> None:
        groups = [
            {"targets": [f"127.0.0.1:{self.port}"], "labels": {"__metrics_path__": path, "instance": instance}}
            for path, instance in instances.items()
        ]
        new = file.with_suffix(".new")
        new.write_text(yaml.safe_dump(groups))
        new.replace(file)


@contextmanager
def running_targets(targets: Targets) -> Iterator[Targets]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            text = targets.answer(self.path)
            data = (text or "").encode()
            self.send_response(200 if text else 503)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Not into the output of the tests."""

        def handle(self) -> None:
            try:
                super().handle()
            except ConnectionError:
                """A collector that is killed is part of the tests."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    targets.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield targets
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class SiteCollector:
    """The collector of a site with its folder.

    Attributes:
        program: The collector.
        folder: Where configuration, certificates, queue and log are.
        hub: Where it sends.
        settings: Site, ring and queue.
        interval: How often it scrapes.
        edits: Texts of the configuration and what stands in their place.
    """

    program: Path
    folder: Path
    hub: OtlpHub
    settings: SiteSettings
    targets: Targets
    interval: str = "50ms"
    edits: tuple[tuple[str, str], ...] = ()
    process: subprocess.Popen[bytes] | None = None
    telemetry_port: int = field(default_factory=free_port)

    @property
    def configuration(self) -> Path:
        return self.folder / "etc/collector.yaml"

    @property
    def queue(self) -> Path:
        return self.folder / "var/queue"

    def write(self) -> None:
        """Write the configuration: that of Podman, with other addresses, folders and times."""
        (self.folder / "etc").mkdir(parents=True)
        (self.folder / "var").mkdir()
        (self.folder / "bin").mkdir()
        (self.folder / "bin/kfp-edge-collector").symlink_to(self.program)
        (self.folder / "bin/bbolt").symlink_to(self.program.with_name("bbolt"))
        text = render_form(Form.PODMAN, self.settings)["collector.yaml"].decode()
        seconds = f"{self.settings.size.interval.total_seconds():g}s"
        for old, new in (
            ("/etc/otelcol", str(self.folder / "etc")),
            ("/var/lib/otelcol", str(self.folder / "var")),
            (f"scrape_interval: {seconds}", f"scrape_interval: {self.interval}"),
            ("scrape_timeout: 10s", f"scrape_timeout: {self.interval}"),
            ("127.0.0.1:8888", f"127.0.0.1:{self.telemetry_port}"),
            ("port: 8888", f"port: {self.telemetry_port}"),
            ("}:13133", f"}}:{free_port()}"),
            ("initial_interval: 5s", "initial_interval: 100ms"),
            ("max_interval: 60s", "max_interval: 200ms"),
            *self.edits,
        ):
            assert old in text, old
            text = text.replace(old, new)
        self.configuration.write_text(text)
        shutil.copytree(self.hub.certificates / "client", self.folder / "etc/tls")
        # the certificate of the server stands for one of the site: it is of the same CA
        for name, of_server in (("tls.crt", "server.crt"), ("tls.key", "server.key")):
            shutil.copy(self.hub.certificates / of_server, self.folder / "etc/tls" / name)
        self.targets.write(self.folder / "etc/targets.yaml")

    def start(self) -> None:
        settings = self.settings
        environment = {
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "KFP_EDGE_QUEUE": str(self.queue),
            "KFP_EDGE_SITE": settings.site,
            "KFP_EDGE_RING": settings.ring,
            "KFP_EDGE_HUB": self.hub.url,
            "GOMEMLIMIT": "128MiB",
        }
        with (self.folder / "log").open("ab") as log:
            command = [START, f"--config={self.configuration}"]
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def wait_until_ready(self) -> None:
        wait_until(lambda: self.has_ended or self.metrics() != "", "the collector does not start")
        if self.has_ended:
            raise RuntimeError(self.log[-3000:])

    @property
    def has_ended(self) -> bool:
        return self.process is None or self.process.poll() is not None

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def metrics(self) -> str:
        """Return the metrics of the collector itself, "" while it has none."""
        try:
            return requests.get(f"http://127.0.0.1:{self.telemetry_port}/metrics", timeout=5).text
        except requests.ConnectionError:
            return ""

    def metric(self, name: str) -> float | None:
        """Return the sum of a metric over its labels, None if it is not there."""
        lines = [line for line in self.metrics().splitlines() if line.partition("{")[0].partition(" ")[0] == name]
        return sum(float(line.rpartition(" ")[2]) for line in lines) if lines else None

    def scrape_no_more(self) -> None:
        """Let the servers be: they would add to the backlog that is sent."""
        self.targets.write_end(self.folder / "etc/targets.yaml")

    def wait_until_all_is_sent(self) -> None:
        """Wait until the hub has what was scraped until now: the queue is sent in its order."""
        now = time.time_ns()
        self.scrape_no_more()
        wait_until(lambda: self.hub.latest.get("end", 0) > now, "the end of the backlog")

    def kill(self, number: int = signal.SIGKILL) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait()


@contextmanager
def site_collector(program: Path, folder: Path, targets: Targets, **options: object) -> Iterator[SiteCollector]:
    """Prepare a collector and its hub, both not started; end them at the end."""
    (folder / "certificates").mkdir()
    write_certificates(folder / "certificates")
    hub = OtlpHub(folder / "certificates", free_port())
    settings = options.pop("settings", SiteSettings(site="hall-7", ring="canary"))
    collector = SiteCollector(program, folder, hub, settings, targets, **options)  # type: ignore[arg-type]
    collector.write()
    try:
        yield collector
    finally:
        collector.kill()
        hub.stop()

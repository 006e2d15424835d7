"""A real Prometheus with what the servers of a fleet report: it scrapes them, and has a past."""

import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import requests
from fleet_files import MODELS, digest_of

from kfp_edge.fleet.contracts import Site

#: Of so many sites one is offline, and one has not taken the newest release.
OFFLINE_EVERY, DRIFTED_EVERY = 40, 50
#: When the sites that are offline were seen, in hours before now.
_OFFLINE_FROM, _OFFLINE_TO = 30, 6
_SCRAPED_EVERY = 15
_WAIT_SECONDS = 180


@contextmanager
def prometheus_with(folder: Path, sites: Sequence[Site], release: int, address: str) -> Iterator[None]:
    """Run a Prometheus in which all sites but a few report the newest release of the first model.

    Args:
        folder: A new folder.
        sites: The sites of a fleet.
        release: The number of the newest release.
        address: HOST:PORT.
    """
    folder.mkdir(parents=True)
    _write_past(folder, sites, release)
    with _exporter(sites, release) as target:
        (folder / "prometheus.yml").write_text(
            f"global: {{scrape_interval: {_SCRAPED_EVERY}s}}\n"
            f"scrape_configs: [{{job_name: sites, honor_labels: true, static_configs: [{{targets: ['{target}']}}]}}]\n"
        )
        command = [
            "prometheus",
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            "--storage.tsdb.retention.time=100y",
            f"--web.listen-address={address}",
        ]
        with (folder / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
            try:
                _wait_for_metrics(f"http://{address}", process, folder / "log")
                yield
            finally:
                process.terminate()


def free_address() -> str:
    """Return an address of this machine on which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


def _is_offline(number: int) -> bool:
    return number % OFFLINE_EVERY == 5


def _series(number: int, site: Site, release: int) -> Iterator[tuple[str, str]]:
    """Yield the series of a site: their names, and the whole of each, whose value is 1."""
    labels = f'site="{site.name}",job="kfp-edge",instance="pod:8080"'
    newest = {MODELS[0]: release - (number % DRIFTED_EVERY == 7), MODELS[1]: 0}
    for model, version in newest.items():
        of_model = f'model="{model}",version="1.{version}.0",image_digest="{digest_of(model, version)}"'
        yield "kfp_edge_model_info", f"kfp_edge_model_info{{{labels},{of_model}}} 1"
    yield "kfp_edge_ready", f"kfp_edge_ready{{{labels}}} 1"


def _write_past(folder: Path, sites: Sequence[Site], release: int) -> None:
    """Write the blocks of what the sites that are offline reported, once in a minute."""
    now = int(time.time())
    times = range(now - _OFFLINE_FROM * 3600, now - _OFFLINE_TO * 3600, 60)
    offline = [(number, site) for number, site in enumerate(sites) if _is_offline(number)]
    with (folder / "past").open("w") as stream:
        for wanted in ("kfp_edge_model_info", "kfp_edge_ready"):
            for number, site in offline:
                for name, sample in _series(number, site, release):
                    if name == wanted:
                        stream.writelines(f"{sample} {moment}\n" for moment in times)
        stream.write("# EOF\n")
    create = ["promtool", "tsdb", "create-blocks-from", "openmetrics", folder / "past", folder / "data"]
    subprocess.run(create, check=True, capture_output=True)


@contextmanager
def _exporter(sites: Sequence[Site], release: int) -> Iterator[str]:
    """Serve the metrics of all sites that are online, as a collector would; yield HOST:PORT."""
    online = [(number, site) for number, site in enumerate(sites) if not _is_offline(number)]
    lines = sorted(sample for number, site in online for _, sample in _series(number, site, release))
    body = ("\n".join(lines) + "\n").encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Keep the output of the benchmark clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def _wait_for_metrics(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            answer = requests.get(f"{url}/api/v1/query", params={"query": "count(kfp_edge_ready)"}, timeout=30)
            if answer.ok and answer.json()["data"]["result"]:
                return
        except requests.ConnectionError:
            pass
        time.sleep(0.2)
    raise RuntimeError(log.read_text())

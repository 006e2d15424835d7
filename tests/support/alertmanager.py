"""A real Alertmanager, with the addresses of its receivers replaced by a server of the test."""

import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import requests
import yaml

from kfp_edge.fleet.simulation.http_server import Handler, serving

_START_SECONDS = 30


@dataclass
class Alertmanager:
    """An Alertmanager that runs; `messages` are those that its receivers got."""

    url: str
    messages: list[dict[str, Any]] = field(default_factory=list)
    arrived: threading.Event = field(default_factory=threading.Event)

    def send(self, *alerts: Mapping[str, str]) -> None:
        """Send alerts, by their labels."""
        body = [{"labels": dict(labels)} for labels in alerts]
        requests.post(f"{self.url}/api/v2/alerts", json=body, timeout=30).raise_for_status()

    def muted(self) -> dict[tuple[str, str], bool]:
        """Return whether each alert is inhibited, by name and site."""
        alerts = requests.get(f"{self.url}/api/v2/alerts", timeout=30).json()
        return {
            (each["labels"]["alertname"], each["labels"].get("site", "")): bool(each["status"]["inhibitedBy"])
            for each in alerts
        }

    def wait_for_messages(self, count: int) -> list[dict[str, Any]]:
        """Return the messages once there are so many."""
        deadline = time.monotonic() + 60
        while len(self.messages) < count and time.monotonic() < deadline:
            self.arrived.wait(1)
            self.arrived.clear()
        return self.messages


@contextmanager
def alertmanager_with(folder: Path, configuration: Mapping[str, Any]) -> Iterator[Alertmanager]:
    """Run an Alertmanager whose receivers, by their names, all send to this test."""
    running = Alertmanager("")

    class Receiving(Handler):
        def do_POST(self) -> None:
            running.messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            running.arrived.set()
            self.answer(HTTPStatus.OK)

    with serving(Receiving) as address:
        receivers = [
            {"name": each["name"], "webhook_configs": [{"url": f"http://{address}/"}]}
            for each in configuration["receivers"]
        ]
        (folder / "alertmanager.yml").write_text(yaml.safe_dump({**configuration, "receivers": receivers}))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            own = f"127.0.0.1:{free.getsockname()[1]}"
        command = [
            "prometheus-alertmanager",
            f"--config.file={folder / 'alertmanager.yml'}",
            f"--storage.path={folder / 'data'}",
            f"--web.listen-address={own}",
            "--cluster.listen-address=",
        ]
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            running.url = f"http://{own}"
            _wait_until_ready(running.url, process, folder / "log")
            yield running
        finally:
            process.terminate()
            process.wait()


def _wait_until_ready(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if requests.get(f"{url}/-/ready", timeout=5).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.05)
    raise RuntimeError(log.read_text())

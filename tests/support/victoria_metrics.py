"""Store and forward without an OpenTelemetry Collector: vmagent at the site, VictoriaMetrics at the hub."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import requests
import yaml

from support.site_collectors import Targets, free_port, wait_until


@dataclass
class Program:
    """A program that can be killed and started again."""

    command: list[str]
    log: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        with self.log.open("ab") as log:
            command = [*self.command, f"-httpListenAddr=127.0.0.1:{self.port}"]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_until(self._is_ready, f"{self.command[0]} does not start")

    def end(self, *, killed: bool) -> None:
        if self.process is not None:
            self.process.kill() if killed else self.process.terminate()
            self.process.wait()
            self.process = None

    def metric(self, name: str) -> float:
        """Return the sum of a metric of the program over its labels."""
        lines = requests.get(f"{self.url}/metrics", timeout=5).text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.partition("{")[0].split(" ")[0] == name)

    def _is_ready(self) -> bool:
        if self.process is not None and self.process.poll() is not None:
            raise RuntimeError(self.log.read_text()[-2000:])
        try:
            return requests.get(f"{self.url}/metrics", timeout=5).ok
        except requests.ConnectionError:
            return False


@contextmanager
def site_and_hub(folder: Path, targets: Targets, interval: str) -> Iterator[tuple[Program, Program]]:
    """Prepare vmagent and VictoriaMetrics, both not started; end them at the end."""
    hub = Program(["victoria-metrics", f"-storageDataPath={folder / 'hub'}"], folder / "hub.log")
    targets.write(folder / "targets.yaml")
    scrape = {
        "job_name": "kfp-edge",
        "scrape_interval": interval,
        "file_sd_configs": [{"files": [str(folder / "targets.yaml")]}],
        "relabel_configs": [{"target_label": "site", "replacement": "hall-7"}],
    }
    (folder / "scrape.yaml").write_text(yaml.safe_dump({"scrape_configs": [scrape]}))
    site = Program(
        [
            "vmagent",
            f"-promscrape.config={folder / 'scrape.yaml'}",
            f"-remoteWrite.url={hub.url}/api/v1/write",
            f"-remoteWrite.tmpDataPath={folder / 'queue'}",
            "-remoteWrite.maxDiskUsagePerURL=500000000",
            "-remoteWrite.queues=1",
        ],
        folder / "site.log",
    )
    try:
        yield site, hub
    finally:
        site.end(killed=True)
        hub.end(killed=True)


def exported(hub: Program, name: str) -> dict[str, list[float]]:
    """Return the values of a metric by the instance, in the order of their time, without marks of staleness."""
    requests.get(f"{hub.url}/internal/force_flush", timeout=10)
    answer = requests.get(f"{hub.url}/api/v1/export", params={"match[]": name}, timeout=10).text
    series = [json.loads(line) for line in answer.splitlines()]
    return {each["metric"]["instance"]: [value for value in each["values"] if value is not None] for each in series}

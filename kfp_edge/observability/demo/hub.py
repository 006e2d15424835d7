"""The hub of the demo: a real Prometheus with the rules of the project, and what the fleet's repository says."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import yaml

import kfp_edge.observability.hub.template
from kfp_edge.errors import CommandError
from kfp_edge.fleet.simulation.containers import free_ports
from kfp_edge.fleet.simulation.http_server import Handler, serving
from kfp_edge.fleet.status.exposition import CONTENT_TYPE, render_metrics
from kfp_edge.fleet.status.status import FleetFiles
from kfp_edge.observability.demo.compression import Compression
from kfp_edge.observability.demo.processes import running
from kfp_edge.observability.demo.sites import DemoSite
from kfp_edge.observability.hub.rules.rule_files import RULE_FILE, all_groups, render_rule_file
from kfp_edge.observability.hub.rules.settings import AlertSettings
from kfp_edge.runtime.process import find_program
from kfp_edge.storage.files import write_file

_TEMPLATE = Path(kfp_edge.observability.hub.template.__file__).parent
_JOB = "kfp-edge"


def find_prometheus() -> str:
    """Return the program.

    Raises:
        CommandError: it is not installed.
    """
    program = find_program("prometheus")
    if program is None:
        raise CommandError("prometheus is not installed; on Debian and Ubuntu, the package prometheus has it.", "")
    return program


@contextmanager
def running_prometheus(
    folder: Path, fleet: FleetFiles, compression: Compression, every: float, scraped: Sequence[DemoSite]
) -> Iterator[str]:
    """Run a Prometheus while the block runs; yield its URL.

    Args:
        folder: Where its data and its configuration go.
        fleet: What the repository of the fleet says.
        compression: How the rules are compressed.
        every: Seconds between two scrapes.
        scraped: Sites whose servers it scrapes itself, where there is no collector.

    Raises:
        CommandError: it is not installed, or does not start.
    """
    program = find_prometheus()
    settings = AlertSettings()
    groups = [compression.compress_group(group) for group in all_groups(settings)]
    write_file(folder / RULE_FILE, render_rule_file(groups, settings).encode())
    with _serving_fleet(fleet) as address:
        configuration = _configure(address, every, scraped)
        write_file(folder / "prometheus.yaml", json.dumps(configuration).encode())
        url = f"http://127.0.0.1:{free_ports(1)[0]}"
        options = {
            "config.file": folder / "prometheus.yaml",
            "storage.tsdb.path": folder / "data",
            "web.listen-address": url.removeprefix("http://"),
        }
        command = [program, *(f"--{name}={value}" for name, value in options.items())]
        with running("Prometheus", [*command, "--web.enable-remote-write-receiver"], folder, {}) as prometheus:
            prometheus.wait_until_ready(f"{url}/-/ready")
            yield url


@contextmanager
def _serving_fleet(fleet: FleetFiles) -> Iterator[str]:
    class Metrics(Handler):
        def do_GET(self) -> None:
            text = render_metrics(fleet, datetime.now(UTC))
            self.answer(HTTPStatus.OK, text.encode(), CONTENT_TYPE)

    with serving(Metrics) as address:
        yield address


def _configure(fleet: str, every: float, scraped: Sequence[DemoSite]) -> Mapping[str, Any]:
    template = yaml.safe_load((_TEMPLATE / "prometheus/prometheus.yaml").read_text(encoding="utf-8"))
    interval = f"{1000 * every:.0f}ms"
    jobs: list[dict[str, Any]] = [
        {"job_name": "kfp-edge-fleet-metrics", "honor_labels": True, "static_configs": [{"targets": [fleet]}]}
    ]
    if scraped:
        targets = [{"targets": [each.address], "labels": {"site": each.name, "ring": each.ring}} for each in scraped]
        jobs.append({"job_name": _JOB, "static_configs": targets})
    return {
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
        "storage": template["storage"],
        "rule_files": [RULE_FILE],
        "scrape_configs": jobs,
    }

"""The real collectors of the sites and of the hub, with the configuration that the project ships for them.

What differs from a site in earnest: ports and folders of this machine, and how often servers are scraped.
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import kfp_edge.observability.hub.template
from kfp_edge.errors import ParameterError
from kfp_edge.fleet.simulation.containers import free_ports
from kfp_edge.observability.demo.certificates import write_certificates
from kfp_edge.observability.demo.processes import running
from kfp_edge.observability.demo.sites import DemoSite
from kfp_edge.observability.site.forms import CONFIGURATION, Form, SiteSettings, render_form
from kfp_edge.storage.files import write_file

VARIABLE = "KFP_EDGE_OTELCOL"
_PROGRAMS = ("kfp-edge-collector", "otelcol")
_HUB = Path(kfp_edge.observability.hub.template.__file__).parent

_Document = dict[str, Any]


def find_collector() -> Path | None:
    """Return the OpenTelemetry Collector of this machine, None if there is none.

    Raises:
        ParameterError: `KFP_EDGE_OTELCOL` names what is no program.
    """
    if named := os.environ.get(VARIABLE):
        if not os.access(named, os.X_OK) or Path(named).is_dir():
            raise ParameterError(f"{VARIABLE} is {named}, which is no program; name an OpenTelemetry Collector.")
        return Path(named)
    program = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    return Path(program) if program else None


@dataclass(frozen=True)
class CollectorPath:
    """How samples get from the sites to Prometheus.

    Attributes:
        program: The collector.
        folder: Where configurations, certificates, queues and logs are.
        every: Seconds between two scrapes.
    """

    program: Path
    folder: Path
    every: float

    @contextmanager
    def running(self, sites: list[DemoSite], prometheus: str) -> Iterator[None]:
        """Run the collector of the hub and those of all sites while the block runs.

        Raises:
            CommandError: one of them does not start.
        """
        certificates = self.folder / "certificates"
        certificates.mkdir(parents=True)
        write_certificates(certificates)
        otlp, *others = free_ports(3 + 2 * len(sites))
        with ExitStack() as stack:
            stack.enter_context(self._running_hub(otlp, others[0], others[1], prometheus))
            for number, site in enumerate(sites):
                health, metrics = others[2 + 2 * number : 4 + 2 * number]
                stack.enter_context(self._running_site(site, f"https://127.0.0.1:{otlp}", health, metrics))
            yield

    @contextmanager
    def _running_hub(self, otlp: int, health: int, metrics: int, prometheus: str) -> Iterator[None]:
        document: _Document = yaml.safe_load((_HUB / "collector" / CONFIGURATION).read_text(encoding="utf-8"))
        certificates = self.folder / "certificates"
        http = document["receivers"]["otlp"]["protocols"]["http"]
        http["endpoint"] = f"127.0.0.1:{otlp}"
        http["tls"]["cert_file"] = str(certificates / "server.crt")
        http["tls"]["key_file"] = str(certificates / "server.key")
        http["tls"]["client_ca_file"] = str(certificates / "client/ca.crt")
        _set_ports(document, health, metrics)
        variables = {"KFP_EDGE_LISTEN": "127.0.0.1", "KFP_EDGE_STORAGE": f"{prometheus}/api/v1/write"}
        with self._running("hub", "the collector of the hub", document, variables, health):
            yield

    @contextmanager
    def _running_site(self, site: DemoSite, hub: str, health: int, metrics: int) -> Iterator[None]:
        settings = SiteSettings(site.name, site.ring, hub)
        document: _Document = yaml.safe_load(render_form(Form.PODMAN, settings)[CONFIGURATION])
        certificates, folder = self.folder / "certificates", self.folder / site.name
        write_file(folder / "targets.yaml", yaml.safe_dump([{"targets": [site.address]}]).encode())
        servers, itself = document["receivers"]["prometheus"]["config"]["scrape_configs"]
        for scraped in (servers, itself):
            scraped["scrape_interval"] = scraped["scrape_timeout"] = f"{1000 * self.every:.0f}ms"
        servers["file_sd_configs"][0]["files"] = [str(folder / "targets.yaml")]
        itself["static_configs"][0]["targets"] = [f"127.0.0.1:{metrics}"]
        tls = document["exporters"]["otlp_http"]["tls"]
        # the certificate of the hub stands for one of the site: it is of the same CA
        tls["ca_file"] = str(certificates / "client/ca.crt")
        tls["cert_file"], tls["key_file"] = (str(certificates / f"server.{kind}") for kind in ("crt", "key"))
        storage = document["extensions"]["file_storage"]
        storage["directory"] = storage["compaction"]["directory"] = str(folder / "queue")
        _set_ports(document, health, metrics)
        variables = {"KFP_EDGE_SITE": site.name, "KFP_EDGE_RING": site.ring, "KFP_EDGE_HUB": hub}
        with self._running(site.name, f"the collector of {site.name}", document, variables, health):
            yield

    @contextmanager
    def _running(
        self, folder: str, name: str, document: _Document, variables: Mapping[str, str], health: int
    ) -> Iterator[None]:
        configuration = self.folder / folder / CONFIGURATION
        write_file(configuration, yaml.safe_dump(document, sort_keys=False).encode())
        command = [str(self.program), f"--config={configuration}"]
        with running(name, command, configuration.parent, variables) as program:
            program.wait_until_ready(f"http://127.0.0.1:{health}/")
            yield


def _set_ports(document: _Document, health: int, metrics: int) -> None:
    document["extensions"]["health_check"]["endpoint"] = f"127.0.0.1:{health}"
    reader = document["service"]["telemetry"]["metrics"]["readers"][0]["pull"]["exporter"]["prometheus"]
    reader["host"], reader["port"] = "127.0.0.1", metrics

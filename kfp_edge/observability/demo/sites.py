"""The sites of the demo: a real server each, and a load of rows."""

import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import requests

from kfp_edge.fleet.contracts import API_VERSION, NAMESPACE, Fleet, Site
from kfp_edge.fleet.status.status import FleetFiles
from kfp_edge.observability.demo.press import FEATURES, MODEL, generate_rows
from kfp_edge.observability.demo.processes import Program, running

#: Rows of a request, and seconds between two requests to one site.
_ROWS, _PAUSE = 20, 0.25
_BODIES = 50


@dataclass
class DemoSite:
    """A site with its server.

    Attributes:
        name: The name of the site.
        ring: Its ring.
        port: Where its server answers.
        is_drifted: Whether its presses make the new product.
        unanswered: Requests that nothing answered.
    """

    name: str
    ring: str
    port: int
    is_drifted: bool = False
    unanswered: int = 0
    _program: Program | None = None
    _bodies: dict[bool, list[bytes]] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Host and port of the server."""
        return f"127.0.0.1:{self.port}"

    @contextmanager
    def serving(self, bundle: Path, folder: Path) -> Iterator[None]:
        """Serve a bundle while the block runs.

        Raises:
            CommandError: the server does not start.
        """
        folder.mkdir(parents=True)
        command = [sys.executable, "-m", "kfp_edge_serving", "--models", str(bundle), "--host", "127.0.0.1"]
        options = ["--port", str(self.port), "--grpc-port", "off", "--shutdown-delay", "0"]
        with running(f"the server of {self.name}", [*command, *options], folder, {}) as self._program:
            yield

    def wait_until_ready(self) -> None:
        """Wait until the server takes requests.

        Raises:
            CommandError: it ends before, or takes too long.
        """
        assert self._program is not None
        self._program.wait_until_ready(f"http://{self.address}/v2/health/ready")

    def stop(self) -> None:
        """Stop the server, as a machine does that fails."""
        assert self._program is not None
        self._program.process.kill()

    @contextmanager
    def loaded(self, seed: int) -> Iterator[None]:
        """Send requests while the block runs."""
        rng = np.random.default_rng(seed)
        for is_drifted in (False, True):
            self._bodies[is_drifted] = [_request(rng, is_drifted) for _ in range(_BODIES)]
        ended = threading.Event()
        thread = threading.Thread(target=self._send_all, args=(ended,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _send_all(self, ended: threading.Event) -> None:
        session = requests.Session()
        session.headers["Content-Type"] = "application/json"
        url, number = f"http://{self.address}/v2/models/{MODEL}/infer", 0
        due = time.monotonic()
        while not ended.wait(max(0.0, due - time.monotonic())):
            due = max(due + _PAUSE, time.monotonic() - _PAUSE)
            number += 1
            try:
                session.post(url, self._bodies[self.is_drifted][number % _BODIES], timeout=10)
            except requests.RequestException:
                self.unanswered += 1


def _request(rng: np.random.Generator, is_drifted: bool) -> bytes:
    rows = generate_rows(rng, _ROWS, is_drifted=is_drifted)[list(FEATURES)]
    return json.dumps({"rows": rows.to_dict(orient="records")}).encode()


def describe_fleet(sites: Sequence[DemoSite], offline_after: str) -> FleetFiles:
    """Return what the repository of the fleet would say of the sites; no image is released to it."""
    rings = [{"name": ring, "offlineAfter": offline_after} for ring in dict.fromkeys(site.ring for site in sites)]
    fleet = {"kind": "Fleet", "name": "demo", "repository": "https://git.example/fleet.git", "rings": rings}
    members = (
        {"kind": "Site", "name": each.name, "ring": each.ring, "delivery": "podman", "namespace": NAMESPACE}
        for each in sites
    )
    api = {"apiVersion": API_VERSION}
    sites_of_fleet = tuple(Site.model_validate(api | member) for member in members)
    return FleetFiles(Fleet.model_validate(api | fleet), "", sites_of_fleet, {})

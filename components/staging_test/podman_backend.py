"""The candidate as a container on this machine, under the limits that OpenShift gives a pod."""

import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kfp_edge.components.staging_test.backend import GRACE, PORT, ContainerState
from kfp_edge.images.podman import loaded_image, podman, podman_environment
from kfp_edge.images.references import ImageRef
from kfp_edge.reports.check import Check
from kfp_edge.runtime.signals import deferred_signals

# What the restricted-v2 security context constraint allows: any user ID, group 0, no right to anything.
_RESTRICTED = (
    *("--read-only", "--read-only-tmpfs=false"),
    *("--cap-drop", "all", "--security-opt", "no-new-privileges"),
    *("--memory", "256m", "--pids-limit", "64"),
)
# An ordinary user has some 65,000 user IDs for containers, mapped from 0; OpenShift's begin at a thousand million.
_ANY_USER = 1_000_680_000 if os.geteuid() == 0 else 54_321


class PodmanBackend:
    """A `Candidate` in podman."""

    poll = 0.05
    silence = ""

    def __init__(self, name: str) -> None:
        self._name = name
        found = self._inspect()
        self.labels: dict[str, str] = found["Config"]["Labels"] or {}
        self.url = f"http://127.0.0.1:{found['NetworkSettings']['Ports'][f'{PORT}/tcp'][0]['HostPort']}"

    def starts(self, seconds: float) -> Iterator[Check]:
        """Yield nothing: podman has started the container, and its server is reached at once."""
        return iter(())

    def state(self) -> ContainerState:
        """Look at the container now."""
        state = self._inspect()["State"]
        reason = "out of memory" if state["OOMKilled"] else ""
        return ContainerState(bool(state["Running"]), int(state["ExitCode"]), reason)

    def stop(self) -> ContainerState:
        """Ask the container to stop, kill it after the grace period, and say how it ended."""
        podman("stop", "--time", str(GRACE), self._name)
        return self.state()

    def log(self) -> str:
        """Return all that the container wrote, stdout and stderr as they came."""
        done = subprocess.run(
            ["podman", "logs", self._name],
            env=podman_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        return done.stdout

    def _inspect(self) -> dict[str, Any]:
        found: list[dict[str, Any]] = json.loads(podman("container", "inspect", self._name))
        return found[0]


@contextmanager
def running(image: ImageRef) -> Iterator[PodmanBackend]:
    """Have a container of an image while the block runs; whatever happens, container and image are gone after it.

    Raises:
        KfpEdgeError: the image cannot be had, or podman cannot start it.
    """
    unique = uuid.uuid4().hex[:12]
    stored, name = f"localhost/kfp-edge/staging:{unique}", f"kfp-edge-staging-{unique}"
    flags = ["--pull=never", "--publish", f"127.0.0.1::{PORT}", "--user", f"{_ANY_USER}:0", *_RESTRICTED]
    with loaded_image(image, stored):
        try:
            with deferred_signals():
                podman("run", "--detach", "--name", name, *flags, stored)
            yield PodmanBackend(name)
        finally:
            with deferred_signals():
                podman("rm", "--force", "--time", "0", "--ignore", "--volumes", name)

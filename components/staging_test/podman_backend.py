"""The staging backend for this machine: a container in Podman, restricted like a pod on OpenShift."""

import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from kfp_edge.components.staging_test.backend import ENVIRONMENT, GRACE_SECONDS, PORT, ContainerState
from kfp_edge.components.staging_test.candidate import Candidate
from kfp_edge.images.podman import loaded_image, podman, podman_environment
from kfp_edge.reports.check import Check
from kfp_edge.runtime.signals import deferred_signals

# What the security context constraint restricted-v2 allows: any user ID, group 0, no capabilities.
_RESTRICTIONS = (
    *("--read-only", "--read-only-tmpfs=false"),
    *("--cap-drop", "all", "--security-opt", "no-new-privileges"),
    *("--memory", "256m", "--pids-limit", "64"),
)
# An ordinary user has some 65,000 user IDs for containers, from 0; OpenShift's begin at 1,000,000,000.
_ARBITRARY_USER = 1_000_680_000 if os.geteuid() == 0 else 54_321
#: Where a modelcar is mounted; Podman 4 mounts no folder of an image alone.
_MODELCAR = "/mnt/modelcar"


class PodmanBackend:
    """A `StagingBackend` in Podman."""

    poll_interval = 0.05
    no_response_hint = ""

    def __init__(self, name: str, labels: dict[str, str]) -> None:
        self._name = name
        self.labels = labels
        container = self._inspect()
        self.url = f"http://127.0.0.1:{container['NetworkSettings']['Ports'][f'{PORT}/tcp'][0]['HostPort']}"

    def wait_for_start(self, seconds: float) -> Iterator[Check]:
        """Yield nothing: Podman has started the container, and its port is published."""
        return iter(())

    def state(self) -> ContainerState:
        """Return the current state of the container."""
        state = self._inspect()["State"]
        reason = "out of memory" if state["OOMKilled"] else ""
        return ContainerState(bool(state["Running"]), int(state["ExitCode"]), reason)

    def stop(self) -> ContainerState:
        """Stop the container, with SIGKILL after the grace period, and return how it ended."""
        podman("stop", "--time", str(GRACE_SECONDS), self._name)
        return self.state()

    def log(self) -> str:
        """Return the container's output so far, stdout and stderr interleaved."""
        logs = subprocess.run(
            ["podman", "logs", self._name],
            env=podman_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        return logs.stdout

    def _inspect(self) -> dict[str, Any]:
        containers: list[dict[str, Any]] = json.loads(podman("container", "inspect", self._name))
        return containers[0]


@contextmanager
def run_candidate(candidate: Candidate) -> Iterator[PodmanBackend]:
    """Run a container of a candidate until the block ends; then remove container and images in any case.

    A modelcar is mounted as an image, without a copy.

    Raises:
        KfpEdgeError: an image cannot be read, or Podman cannot start it.
    """
    unique = uuid.uuid4().hex[:12]
    stored, name = f"localhost/kfp-edge/staging:{unique}", f"kfp-edge-staging-{unique}"
    flags = ["--pull=never", "--publish", f"127.0.0.1::{PORT}", "--user", f"{_ARBITRARY_USER}:0", *_RESTRICTIONS]
    flags += [f"--env={name}={value}" for name, value in ENVIRONMENT.items()]
    with ExitStack() as images:
        images.enter_context(loaded_image(candidate.runs, stored))
        if candidate.server is not None:
            modelcar = f"localhost/kfp-edge/staging-modelcar:{unique}"
            images.enter_context(loaded_image(candidate.image, modelcar))
            flags += ["--mount", f"type=image,source={modelcar},destination={_MODELCAR}"]
        arguments = candidate.arguments(f"{_MODELCAR}/models")
        try:
            with deferred_signals():
                podman("run", "--detach", "--name", name, *flags, stored, *arguments)
            yield PodmanBackend(name, candidate.labels)
        finally:
            with deferred_signals():
                podman("rm", "--force", "--time", "0", "--ignore", "--volumes", name)

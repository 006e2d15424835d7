"""The candidate as a container, under the limits that OpenShift gives a pod."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kfp_edge.containers import environment, podman
from kfp_edge.signals import held

PORT = 8080
#: Seconds between SIGTERM and SIGKILL; Kubernetes gives as many.
GRACE = 30

# What the restricted-v2 security context constraint allows: any user ID, group 0, no right to anything.
_RESTRICTED = (
    *("--read-only", "--read-only-tmpfs=false"),
    *("--cap-drop", "all", "--security-opt", "no-new-privileges"),
    *("--memory", "256m", "--pids-limit", "64"),
)
# An ordinary user has some 65,000 user IDs for containers, mapped from 0; OpenShift's begin at a thousand million.
_ANY_USER = 1_000_680_000 if os.geteuid() == 0 else 54_321


@dataclass(frozen=True)
class State:
    """Whether the container runs, and how it ended if it does not."""

    running: bool
    exit_code: int
    out_of_memory: bool

    def __str__(self) -> str:
        if self.running:
            return "running"
        return f"ended with exit code {self.exit_code}" + (" (out of memory)" if self.out_of_memory else "")


class Candidate:
    """A container that was started; `url` is where this machine reaches its server."""

    def __init__(self, name: str) -> None:
        self._name = name
        found = self._inspect()
        self.labels: dict[str, str] = found["Config"]["Labels"] or {}
        self.url = f"http://127.0.0.1:{found['NetworkSettings']['Ports'][f'{PORT}/tcp'][0]['HostPort']}"

    def state(self) -> State:
        """Look at the container now."""
        state = self._inspect()["State"]
        return State(bool(state["Running"]), int(state["ExitCode"]), bool(state["OOMKilled"]))

    def stop(self) -> State:
        """Ask the container to stop, kill it after the grace period, and say how it ended."""
        podman("stop", "--time", str(GRACE), self._name)
        return self.state()

    def log(self) -> str:
        """Return all that the container wrote, stdout and stderr as they came."""
        done = subprocess.run(
            ["podman", "logs", self._name],
            env=environment(),
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
def running(image: str, name: str) -> Iterator[Candidate]:
    """Have a container of an image in the storage while the block runs; whatever happens, it is gone after it.

    Raises:
        CommandError: podman cannot start it.
    """
    publish = f"127.0.0.1::{PORT}"
    try:
        with held():
            flags = ["--pull=never", "--publish", publish, "--user", f"{_ANY_USER}:0", *_RESTRICTED]
            podman("run", "--detach", "--name", name, *flags, image)
        yield Candidate(name)
    finally:
        with held():
            podman("rm", "--force", "--time", "0", "--ignore", "--volumes", name)

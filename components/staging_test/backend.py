"""The interface of staging backends: a candidate that runs, in a container on this machine or in a pod."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from kfp_edge.reports.check import Check

#: The port of the server in the image.
PORT = 8080
#: Seconds between SIGTERM and SIGKILL.
GRACE_SECONDS = 30
#: What the server in the image is started with: no one else sends requests to a candidate, so it need not wait for them
#: when it ends.
ENVIRONMENT = {"KFP_EDGE_SHUTDOWN_DELAY": "0"}


@dataclass(frozen=True)
class ContainerState:
    """Whether the container runs, and how it ended if not; `exit_code` is None if it is unknown."""

    running: bool
    exit_code: int | None = None
    reason: str = ""

    def __str__(self) -> str:
        if self.running:
            return "running"
        code = "" if self.exit_code is None else f" with exit code {self.exit_code}"
        return f"ended{code}" + (f" ({self.reason})" if self.reason else "")


class StagingBackend(Protocol):
    """A candidate that was started."""

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels of its image."""

    @property
    def url(self) -> str:
        """The URL of its server, valid once `wait_for_start` has passed."""

    @property
    def poll_interval(self) -> float:
        """Seconds between two readiness requests."""

    @property
    def no_response_hint(self) -> str:
        """A reason other than the server why a started candidate may not respond; empty if there is none."""

    def wait_for_start(self, seconds: float) -> Iterator[Check]:
        """Yield the checks that must pass within so many seconds, before a client can send a request."""

    def state(self) -> ContainerState:
        """Return the current state of the container."""

    def stop(self) -> ContainerState:
        """Stop the container, with SIGKILL after the grace period, and return how it ended."""

    def log(self) -> str:
        """Return the container's output so far, stdout and stderr interleaved."""

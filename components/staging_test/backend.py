"""A candidate that runs, as the checks see it: what is the same for a container here and a pod in a cluster."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from kfp_edge.reports.check import Check

#: Where the server in the image listens.
PORT = 8080
#: Seconds between SIGTERM and SIGKILL.
GRACE = 30


@dataclass(frozen=True)
class ContainerState:
    """Whether the container runs, and how it ended if it does not; without an exit code when nobody told it."""

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
        """Where its server is reached from here, once it has started."""

    @property
    def poll(self) -> float:
        """Seconds between two looks at one that is not ready yet."""

    @property
    def silence(self) -> str:
        """Why a client may get no answer at all though it has started; empty when the server must be at fault."""

    def starts(self, seconds: float) -> Iterator[Check]:
        """Yield what must hold within so many seconds from now, before a client can ask anything."""

    def state(self) -> ContainerState:
        """Look at the container now."""

    def stop(self) -> ContainerState:
        """Ask the container to stop, have it killed after the grace period, and say how it ended."""

    def log(self) -> str:
        """Return what the container wrote so far, stdout and stderr as they came."""

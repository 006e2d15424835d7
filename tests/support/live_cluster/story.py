"""The one complete run that several tests look at."""

from dataclasses import dataclass

from support.live_cluster.commands import RunningCommand

#: The model of the tests, and the site at which it is released.
MODEL, SITE = "kfp-edge-test", "kfp-edge-test"


@dataclass(frozen=True)
class Story:
    """A run of `edge_mlops` that was submitted and is followed, and the version of the model that it makes."""

    command: RunningCommand
    version: str
    site: str = SITE

    @property
    def branch(self) -> str:
        """The review branch."""
        return f"kfp-edge/{MODEL}/{self.version}"

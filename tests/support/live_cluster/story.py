"""The one complete run that several tests look at."""

from dataclasses import dataclass

from support.live_cluster.commands import RunningCommand

#: The model of the tests.
MODEL = "kfp-edge-test"


@dataclass(frozen=True)
class Story:
    """A run of `edge_mlops` that was submitted and is followed, and the version of the model that it makes."""

    command: RunningCommand
    version: str

    @property
    def branch(self) -> str:
        """The review branch."""
        return f"kfp-edge/{MODEL}/{self.version}"

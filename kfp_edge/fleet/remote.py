"""The repository of a fleet as its sites follow it, found through a checkout."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kfp_edge.errors import ParameterError
from kfp_edge.fleet.contracts import Fleet
from kfp_edge.fleet.documents import read_fleet
from kfp_edge.git.remote import GitRemote
from kfp_edge.git.repository import GitRepository, open_repository
from kfp_edge.gitops.tree import Checkout


@dataclass(frozen=True)
class FleetRemote:
    """Where a fleet's repository is, and the branch that the sites follow."""

    remote: GitRemote
    branch: str

    @classmethod
    def of_checkout(cls, folder: Path, url: str = "") -> "FleetRemote":
        """Return the repository that the `fleet.yaml` of a checkout names.

        Args:
            folder: The checkout.
            url: The repository, where this machine reaches it in another way than the sites do.

        Raises:
            DocumentError: `fleet.yaml` is missing or not valid.
            ParameterError: the address is not one of a git repository.
        """
        fleet: Fleet = read_fleet(Checkout(folder))
        if url:
            return cls(GitRemote.parse(url), fleet.branch)
        try:
            return cls(GitRemote.parse(fleet.repository), fleet.branch)
        except ParameterError as error:
            raise ParameterError(
                f"`repository` of fleet.yaml: {error} If this machine has another address for it, name that with --url."
            ) from error

    @contextmanager
    def open(self) -> Iterator[GitRepository]:
        """Yield a fetched temporary clone.

        Raises:
            GitError: the repository cannot be read.
            ParameterError: an environment variable is not valid.
        """
        with open_repository(self.remote) as repository:
            yield repository

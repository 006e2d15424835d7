"""Checks the files of a fleet's repository, before a merge brings a mistake to the sites."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kfp_edge.fleet.documents import DocumentError, read_fleet
from kfp_edge.gitops.tree import Checkout, Tree

Severity = Literal["error", "warning"]


@dataclass(frozen=True, order=True)
class Finding:
    """What is wrong in a file of the repository, in one sentence, and what to do."""

    file: str
    #: Counted from 1; 0 for the whole file.
    line: int
    message: str
    #: An error keeps a site from getting what it should; a warning does not.
    severity: Severity = "error"

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}: {self.message}" if self.line else f"{self.file}: {self.message}"


def check_repository(repository: Path | Tree) -> list[Finding]:
    """Return what is wrong in a fleet's repository, in the order of its files.

    Args:
        repository: The folder of a checkout, or the files of a commit.
    """
    tree = Checkout(repository) if isinstance(repository, Path) else repository
    try:
        read_fleet(tree)
    except DocumentError as error:
        return [Finding(error.file, error.line, error.reason)]
    return []

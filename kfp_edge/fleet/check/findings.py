"""What a check finds."""

from dataclasses import dataclass
from typing import Literal

from kfp_edge.fleet.documents import DocumentError

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

    @classmethod
    def of(cls, error: DocumentError) -> "Finding":
        """Return what is wrong in a document."""
        return cls(error.file, error.line, error.reason)

    def __str__(self) -> str:
        where = f"{self.file}, line {self.line}" if self.line else self.file
        return f"{where}: {self.message}"

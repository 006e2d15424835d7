"""What a check of a machine or a namespace found, with a remedy."""

from dataclasses import dataclass
from typing import Literal

#: "missing" prevents a run; "warning" may impair one; "optional" is not needed for one; "unchecked" could not be read.
CheckStatus = Literal["ok", "warning", "missing", "optional", "unchecked"]


@dataclass(frozen=True)
class Diagnosis:
    """The result of one check.

    Attributes:
        name: what was checked.
        details: the version, amount or problem that the check determined.
        status: how much it affects a run.
        remedy: what to do; empty when nothing is to be done.
    """

    name: str
    details: str
    status: CheckStatus
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.details}" + (f"; {self.remedy}" if self.remedy else "")

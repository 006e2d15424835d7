"""What a check found: the row that reports show, and the sentence that a failure becomes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """One requirement: what it is called, whether it holds, what was measured and what was required."""

    name: str
    passed: bool
    measured: str
    required: str

    @property
    def sentence(self) -> str:
        """How a failed check is told."""
        return f"{self.name} was not met: measured {self.measured}, required {self.required}"

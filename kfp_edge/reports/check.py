"""The result of one check, as reports list it and error messages quote it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """One requirement: its name, whether it is met, what was measured and what was required."""

    name: str
    passed: bool
    measured: str
    required: str

    @property
    def failure_message(self) -> str:
        """The part of an error message that describes this check after it failed."""
        return f"{self.name} was not met: measured {self.measured}, required {self.required}"

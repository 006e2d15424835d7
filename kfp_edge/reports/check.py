"""The result of one check, as reports list it and error messages quote it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """One requirement: its name, whether it is met, what was measured and what was required."""

    name: str
    passed: bool
    measured: str
    required: str
    #: What to do if it is not met, as the end of a sentence; empty where `required` says it all.
    remedy: str = ""

    @property
    def failure_message(self) -> str:
        """The part of an error message that describes this check after it failed."""
        message = f"{self.name} was not met: measured {self.measured}, required {self.required}"
        return f"{message} ({self.remedy})" if self.remedy else message

"""The result of one check, as reports list it and error messages quote it."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

#: Names the checks of a stage in the metadata of the artifact that it writes.
METADATA_KEY = "checks"


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


def write_checks(checks: Iterable[Check]) -> str:
    """Return checks as JSON, for the metadata of an artifact."""
    return json.dumps([asdict(check) for check in checks], ensure_ascii=False)


def parse_checks(text: str) -> tuple[Check, ...]:
    """Return the checks that `write_checks` wrote; none of an empty text."""
    return tuple(Check(**each) for each in json.loads(text)) if text else ()

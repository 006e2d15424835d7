"""The record of a decision in the repository: one file for each, which nobody changes afterwards.

Lines at the end of one file would be a conflict whenever two branches add one; files of their own never are.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from kfp_edge.gitops.images import Image
from kfp_edge.reports.check import Check

AUDIT = "audit"


@dataclass(frozen=True)
class Decision:
    """A release to a first ring, a promotion or a rollback.

    Attributes:
        action: `release`, `promote` or `rollback`.
        before: The image that the ring runs now; None if it has none.
        after: The one that it is going to get.
        reason: Why, in one sentence.
        checks: All numbers that were looked at, with their limits.
    """

    action: str
    model: str
    ring: str
    before: Image | None
    after: Image
    version: str
    reason: str
    checks: tuple[Check, ...]
    time: datetime

    @property
    def path(self) -> str:
        """The file of this decision."""
        time = self.time.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        return f"{AUDIT}/{self.model}/{time}-{self.action}-{self.ring}.json"

    def to_file(self) -> bytes:
        """Return the contents of the file."""
        document = {
            "action": self.action,
            "model": self.model,
            "ring": self.ring,
            "time": self.time.astimezone(UTC).isoformat(timespec="seconds"),
            "before": None if self.before is None else f"{self.before.new_name}@{self.before.digest}",
            "after": f"{self.after.new_name}@{self.after.digest}",
            "version": self.version,
            "reason": self.reason,
            "checks": [
                {"name": each.name, "met": each.passed, "measured": each.measured, "required": each.required}
                for each in self.checks
            ],
        }
        return f"{json.dumps(document, indent=2, ensure_ascii=False)}\n".encode()

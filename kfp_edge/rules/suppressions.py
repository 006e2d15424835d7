"""Comments that allow what a rule is against: `# kfp-edge: ignore KE002 because REASON`.

On a line of its own the comment holds for the file; at the end of a line, for that line and what is nested under it.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from kfp_edge.rules.catalog import RULES
from kfp_edge.rules.source_map import Comment, Position, SourceMap

_FORM = re.compile(r"ignore\s+(KE\d{3}(?:\s*,\s*KE\d{3})*)\s+because\s+(\S.*)")


@dataclass(frozen=True)
class Suppression:
    """One code that one comment allows; `line` is None when it holds for the file."""

    code: str
    reason: str
    line: int | None
    place: Position

    def covers(self, code: str, lines: Collection[int]) -> bool:
        """Whether it allows a finding of `code` that stands on, or inside what begins on, `lines`."""
        return code == self.code and (self.line is None or self.line in lines)


@dataclass(frozen=True)
class Misuse:
    """A comment that allows nothing, and why."""

    place: Position
    message: str


def suppressions(places: SourceMap) -> tuple[list[Suppression], list[Misuse]]:
    """Return what the comments of a file allow, and the comments that are not in order."""
    allowed: list[Suppression] = []
    misused: list[Misuse] = []
    for comment in places.comments():
        for each in _read(comment):
            if isinstance(each, Misuse):
                misused.append(each)
            else:
                allowed.append(each)
    return allowed, misused


def _read(comment: Comment) -> Iterator[Suppression | Misuse]:
    form = _FORM.fullmatch(comment.text)
    if form is None:
        yield Misuse(comment.place, "is not understood; write `# kfp-edge: ignore KE002 because REASON`.")
        return
    for code in re.split(r"\s*,\s*", form.group(1)):
        if code not in RULES:
            yield Misuse(comment.place, f"there is no rule {code}.")
        elif not RULES[code].can_be_ignored:
            yield Misuse(comment.place, f"{code} cannot be ignored: {RULES[code].title.lower()}.")
        else:
            line = None if comment.alone else comment.place.line
            yield Suppression(code, form.group(2), line, comment.place)

"""Comments that suppress findings of a rule: `# kfp-edge: ignore KE002 because REASON`.

On a line of its own the comment applies to the file; at the end of a line, to that line and what is nested under it.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from kfp_edge.rules.catalog import RULES
from kfp_edge.rules.source_map import Comment, Position, SourceMap

_SYNTAX = re.compile(r"ignore\s+(KE\d{3}(?:\s*,\s*KE\d{3})*)\s+because\s+(\S.*)")


@dataclass(frozen=True)
class Suppression:
    """One rule that one comment suppresses; `line` is None when it applies to the whole file."""

    code: str
    reason: str
    line: int | None
    position: Position

    def covers(self, code: str, lines: Collection[int]) -> bool:
        """Return whether it suppresses a finding of `code` whose value or enclosing values start on `lines`."""
        return code == self.code and (self.line is None or self.line in lines)


@dataclass(frozen=True)
class InvalidSuppression:
    """A comment that suppresses nothing, and why."""

    position: Position
    message: str


def parse_suppressions(source_map: SourceMap) -> tuple[list[Suppression], list[InvalidSuppression]]:
    """Return what the comments of a file suppress, and the comments that are invalid."""
    suppressions: list[Suppression] = []
    invalid: list[InvalidSuppression] = []
    for comment in source_map.comments():
        for parsed in _parse(comment):
            if isinstance(parsed, InvalidSuppression):
                invalid.append(parsed)
            else:
                suppressions.append(parsed)
    return suppressions, invalid


def _parse(comment: Comment) -> Iterator[Suppression | InvalidSuppression]:
    match = _SYNTAX.fullmatch(comment.text)
    if match is None:
        yield InvalidSuppression(comment.position, "cannot be parsed; write `# kfp-edge: ignore KE002 because REASON`.")
        return
    for code in re.split(r"\s*,\s*", match.group(1)):
        if code not in RULES:
            yield InvalidSuppression(comment.position, f"there is no rule {code}.")
        elif not RULES[code].can_be_ignored:
            message = f"{code} cannot be ignored: {RULES[code].title.lower()}."
            yield InvalidSuppression(comment.position, message)
        else:
            line = None if comment.has_own_line else comment.position.line
            yield Suppression(code, match.group(2), line, comment.position)

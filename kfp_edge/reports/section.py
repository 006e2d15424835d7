"""A table with a title, in a report and in Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass

from kfp_edge.reports.markdown import format_table, to_plain_text


@dataclass(frozen=True)
class Section:
    """A table with a title, and a sentence about it or ""."""

    title: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    note: str = ""

    def to_markdown(self) -> list[str]:
        """Return the heading, the table and the note as blocks of Markdown."""
        rows = (tuple(map(to_plain_text, row)) for row in self.rows)
        table = format_table(tuple(map(to_plain_text, self.header)), rows)
        return [f"## {self.title}", table, *([to_plain_text(self.note)] if self.note else [])]

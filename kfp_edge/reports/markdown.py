"""Markdown tables (GitHub Flavored Markdown, section 4.10)."""

from collections.abc import Iterable, Sequence


def format_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table without a final newline. Pipes in cells are escaped; other Markdown in them is kept."""
    lines = ([_escape_pipes(cell) for cell in cells] for cells in (header, *rows))
    head, *body = (f"| {' | '.join(cells)} |" for cells in lines)
    delimiter = f"| {' | '.join(['---'] * len(header))} |"
    return "\n".join([head, delimiter, *body])


def to_plain_text(value: object) -> str:
    """Return `value` on one line and without HTML tags, for text that comes from a user's data or another program."""
    return " ".join(str(value).split()).replace("<", "&lt;")


def _escape_pipes(cell: object) -> str:
    return str(cell).replace("|", "\\|")

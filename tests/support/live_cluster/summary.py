"""The table of what held, which the tests print at their end."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass
class Case:
    """One test: how it ended, and how long it took with what it prepared.

    `area` is its module, `outcome` is held, failed or skipped, and `reason` says why it did not hold.
    """

    area: str
    name: str
    outcome: str = "held"
    reason: str = ""
    seconds: float = 0.0


def case_words(name: str) -> str:
    """Return the name of a test, or of a module of tests, as words: `test_a_run[graceful]` is `a run (graceful)`."""
    function, bracket, parameters = name.partition("[")
    words = function.removeprefix("test_").replace("_", " ")
    return f"{words} ({parameters.rstrip(']')})" if bracket else words


def format_table(cases: Iterable[Case]) -> str:
    """Return a table in Markdown."""
    rows = [
        f"| {each.area} | {each.name} | {each.outcome}{f': {_cell(each.reason)}' if each.reason else ''} "
        f"| {each.seconds:.0f} |"
        for each in cases
    ]
    return "\n".join(["| area | case | result | seconds |", "|---|---|---|---|", *rows])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")[:300]

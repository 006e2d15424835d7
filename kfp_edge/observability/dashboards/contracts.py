"""What a dashboard shows, whatever draws it."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """How a panel shows the answers to its queries."""

    #: Lines over time.
    LINES = "lines"
    #: Areas over time, one upon the other: parts of a whole.
    STACKED = "stacked"
    #: The present value of each series.
    NUMBERS = "numbers"
    #: The present labels and values, one series a row.
    TABLE = "table"


@dataclass(frozen=True)
class Query:
    """A query.

    Attributes:
        expression: PromQL, with variables of Grafana such as `$site`.
        legend: The name of a series, with its labels in double braces, as Grafana writes them.
    """

    expression: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """One picture or table.

    Attributes:
        title: What is shown.
        description: How to read it, and what follows; Grafana shows it at the title.
        unit: A unit of Grafana, such as `s`, `percentunit` or `reqps`.
        queries: What is asked; the answers are shown together.
        kind: How they are shown.
        width: Of the 24 columns of a dashboard.
        limits: From which values on a number is yellow, and red; None for one that is neither.
    """

    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    kind: Kind = Kind.LINES
    width: int = 12
    limits: tuple[float, float] | None = None

    @property
    def is_of_now(self) -> bool:
        """Whether only the present values are shown."""
        return self.kind in (Kind.NUMBERS, Kind.TABLE)


@dataclass(frozen=True)
class Row:
    """Panels that belong together, under a title."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Variable:
    """A list from which a reader of the dashboard chooses.

    Attributes:
        name: In queries, with `$` before it.
        values: The query of the values, as Grafana's variables have it.
        is_single: Whether one value is chosen; otherwise there may be several, and all of them to begin with.
    """

    name: str
    values: str
    is_single: bool = False


@dataclass(frozen=True)
class Dashboard:
    """A dashboard.

    Attributes:
        name: Of its files and in its URL.
        title: As Grafana lists it.
        description: What it is for.
        variables: Those that its queries use.
        rows: From top to bottom.
    """

    name: str
    title: str
    description: str
    variables: tuple[Variable, ...]
    rows: tuple[Row, ...]

    def panels(self) -> Iterator[Panel]:
        """Yield the panels from top to bottom."""
        for row in self.rows:
            yield from row.panels

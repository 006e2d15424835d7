"""What a rule of Prometheus is, before it is written to a file."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How soon somebody has to look."""

    #: Now, also at night: a machine is not watched.
    CRITICAL = "critical"
    #: On the same working day.
    WARNING = "warning"
    #: When there is time.
    INFO = "info"


@dataclass(frozen=True)
class Recording:
    """A series that Prometheus computes; `name` is `level:metric:operations`, as Prometheus recommends."""

    name: str
    expression: str


@dataclass(frozen=True)
class Alert:
    """An alert; texts are templates of Prometheus.

    Attributes:
        name: CamelCase; docs/runbooks.md has a section of this name.
        expression: PromQL; a series of its result is one alert.
        lasts: For how long the expression has to hold without a gap.
        severity: How soon somebody has to look.
        summary: One sentence that names site and model.
        description: The numbers, and what follows from them.
    """

    name: str
    expression: str
    lasts: str
    severity: Severity
    summary: str
    description: str


@dataclass(frozen=True)
class Group:
    """Rules that are evaluated one after the other, at the same time; a later one sees what an earlier one recorded."""

    name: str
    interval: str
    rules: tuple[Recording | Alert, ...]

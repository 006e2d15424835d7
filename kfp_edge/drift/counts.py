"""Rows counted by bins: those of training, and those that the servers of a site answered in a window."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property

from kfp_edge.ml.arrays import Float64s, Int64s

MISSING = "missing"
#: All categories that training did not have.
UNSEEN = "unseen in training"


class Kind(StrEnum):
    """Which side of the model a variable is on."""

    FEATURE = "feature"
    OUTPUT = "output"


@dataclass(frozen=True, order=True)
class Variable:
    """A feature, or an output."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        return self.name if self.kind is Kind.FEATURE else f"output {self.name}"


@dataclass(frozen=True)
class Bins:
    """The bins of one variable, and how many rows of training are in each.

    Attributes:
        labels: A text for each bin; the last one is of missing values.
        counts: Rows of training, for an output held-out rows; shape [bins].
        is_numeric: Whether the bins are ranges in their order: the first one is below training's range, the last but
            one above it.
    """

    labels: tuple[str, ...]
    counts: Int64s
    is_numeric: bool

    @property
    def shares(self) -> Float64s:
        """The shares of the rows of training."""
        shares: Float64s = self.counts / max(1, self.counts.sum())
        return shares


@dataclass(frozen=True)
class Reference:
    """The training of one version of a model."""

    version: str
    variables: Mapping[Variable, Bins]


@dataclass(frozen=True)
class SiteCounts:
    """What the servers with one version at one site counted in a window.

    `parts` has rows by variable, shape [parts of the window, bins], in the bins of the version's reference.
    """

    site: str
    ring: str
    version: str
    parts: Mapping[Variable, Int64s]

    def rows(self, variable: Variable) -> int:
        """Return how many values of a variable were counted, missing ones included."""
        return int(self.parts[variable].sum()) if variable in self.parts else 0


@dataclass(frozen=True)
class WindowCounts:
    """What the servers of a model counted between two times."""

    start: datetime
    end: datetime
    sites: tuple[SiteCounts, ...]

    @cached_property
    def by_site(self) -> Mapping[tuple[str, str], SiteCounts]:
        """The counts by site and version."""
        return {(each.site, each.version): each for each in self.sites}

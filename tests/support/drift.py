"""Windows of generated rows, counted into the bins of training as servers count them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from kfp_edge.drift.counts import MISSING, UNSEEN, Bins, Kind, Reference, SiteCounts, Variable, WindowCounts

END = datetime(2026, 11, 20, 12, tzinfo=UTC)
WINDOW = timedelta(days=7)
PARTS = 28


def feature(name: str) -> Variable:
    return Variable(Kind.FEATURE, name)


def output(name: str) -> Variable:
    return Variable(Kind.OUTPUT, name)


class Column:
    """A numeric column: its values in training, and their deciles."""

    def __init__(self, training: np.ndarray) -> None:
        values = training[~np.isnan(training)]
        deciles = np.unique(np.quantile(values, np.linspace(0, 1, 11), method="inverted_cdf"))
        frequent = deciles[[np.mean(values == value) > 0.1 for value in deciles]]
        self.edges = np.unique([*deciles, *np.nextafter(frequent, np.inf)])
        if len(self.edges) == 1:
            self.edges = np.array([self.edges[0], np.nextafter(self.edges[0], np.inf)])
        labels = [*(f"at most {edge:g}" for edge in self.edges), f"above {self.edges[-1]:g}", MISSING]
        self.bins = Bins(tuple(labels), self.count(training), True)

    def count(self, values: np.ndarray) -> np.ndarray:
        """Return the rows in each bin; a value on the last edge is in the last bin of training."""
        present = values[~np.isnan(values)]
        index = np.searchsorted(self.edges, present, side="right")
        index[present == self.edges[-1]] -= 1
        return np.append(np.bincount(index, minlength=len(self.edges) + 1), len(values) - len(present)).astype(np.int64)


def categories(counts: Mapping[str, int]) -> Bins:
    return Bins((*counts, UNSEEN, MISSING), np.array([*counts.values(), 0, 0]), False)


def in_parts(column: Column, values: np.ndarray, parts: int = PARTS) -> np.ndarray:
    """Return rows in the order of time by part of the window and bin."""
    return np.stack([column.count(part) for part in np.array_split(values, parts)])


def site(name: str, parts: Mapping[Variable, np.ndarray], ring: str = "canary", version: str = "1.0.0") -> SiteCounts:
    return SiteCounts(name, ring, version, parts)


def window(*sites: SiteCounts, end: datetime = END, length: timedelta = WINDOW) -> WindowCounts:
    return WindowCounts(end - length, end, tuple(sites))


def references(variables: Mapping[Variable, Bins], versions: Sequence[str] = ("1.0.0",)) -> dict[str, Reference]:
    return {version: Reference(version, variables) for version in versions}

"""Rolling windows: which features of a dataset are statistics of the rows before, and of which columns."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from kfp_edge_serving.features.rolling_windows import STATISTICS


class WindowedFeature(NamedTuple):
    """One feature: a statistic of the last `rows` values of the column `source`."""

    name: str
    source: str
    statistic: str
    rows: int


@dataclass(frozen=True)
class RollingWindows:
    """The windows of a dataset; every source has all statistics of windows of every width."""

    #: The numeric columns that windows are of.
    sources: tuple[str, ...]
    #: Lengths of windows in rows, each once.
    widths: tuple[int, ...]
    #: Whether no two rows of a group share a time.
    has_unique_times: bool = True

    def list_features(self) -> Iterator[WindowedFeature]:
        """Yield the features in the order of their columns, which is that of `compute_windows`."""
        for source in self.sources:
            for width in self.widths:
                for statistic in STATISTICS:
                    yield WindowedFeature(f"{source} {statistic} {width}", source, statistic, width)

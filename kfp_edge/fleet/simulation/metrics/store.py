"""Samples of time series, in the order of time."""

from array import array
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

#: The name of a series, and its labels in pairs.
SeriesKey: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]
Numbers: TypeAlias = npt.NDArray[np.float64]


@dataclass
class Series:
    """One series; NaN marks the time from which its target did not have it any more."""

    labels: dict[str, str]
    times: "array[float]" = field(default_factory=lambda: array("d"))
    values: "array[float]" = field(default_factory=lambda: array("d"))

    def arrays(self) -> tuple[Numbers, Numbers]:
        """Return times and values."""
        return np.array(self.times), np.array(self.values)


class MetricStore:
    """What was scraped from all targets."""

    def __init__(self) -> None:
        """Begin without samples."""
        self._series: dict[SeriesKey, Series] = {}
        self._by_name: dict[str, list[Series]] = defaultdict(list)
        self._last: dict[str, frozenset[SeriesKey]] = {}

    def add(self, target: str, time: float, samples: Mapping[SeriesKey, float]) -> None:
        """Add one scrape of a target; what the last one had and this one lacks ends here, as in Prometheus.

        Args:
            target: The name of the target.
            time: Seconds since 1970, later than those of the last scrape.
            samples: The value of each series; none for a target that did not answer.
        """
        keys = frozenset(samples)
        for key in self._last.get(target, frozenset()) - keys:
            self._append(key, time, float("nan"))
        self._last[target] = keys
        for key, value in samples.items():
            self._append(key, time, value)

    def named(self, name: str) -> list[Series]:
        """Return all series of a name."""
        return self._by_name.get(name, [])

    def _append(self, key: SeriesKey, time: float, value: float) -> None:
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = Series(dict(key[1]))
            self._by_name[key[0]].append(series)
        series.times.append(time)
        series.values.append(value)

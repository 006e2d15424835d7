"""Increases of counters between times, in whole numbers.

`increase()` of PromQL extrapolates, of each bucket in another way, and VictoriaMetrics computes it otherwise. Here the
counters are read at the ends of the parts of a window, and subtracted. Only where a server was restarted or was new in
a part, its samples are read as they were scraped. A restart is seen in any counter of the server and counts for all of
them, since a counter that has already passed its old value does not show it.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from kfp_edge.drift.families import Family
from kfp_edge.ml.arrays import Float64s
from kfp_edge.prometheus import Prometheus, Series

#: How long Prometheus shows the last value of a series, by default: two samples of a series are rarely farther apart.
_LOOKBACK = timedelta(minutes=5)
#: How far from the end of a part its last sample is looked for, where not all is read.
_REACH = timedelta(hours=6)

#: The labels of a server and its model.
Server = frozenset[tuple[str, str]]
#: The labels that name variable and bin.
Key = tuple[str, ...]


@dataclass(frozen=True)
class Times:
    """A window in equal parts, which end with it."""

    start: datetime
    end: datetime
    parts: int

    @property
    def step(self) -> timedelta:
        """The length of a part, in whole milliseconds, as queries have it."""
        return timedelta(milliseconds=(self.end - self.start) // timedelta(milliseconds=self.parts))

    def end_of(self, part: int) -> datetime:
        """Return the end of a part; part 0 ends where the window begins."""
        return self.end - (self.parts - part) * self.step


def read_increases(
    prometheus: Prometheus, family: Family, matchers: str, times: Times, *, is_exact: bool = True
) -> dict[Server, dict[Key, Float64s]]:
    """Return the increases of counters by server and labels, each of shape [parts].

    Args:
        prometheus: Where the metrics are.
        family: What is read.
        matchers: Which series, such as `model="press"`.
        times: The window.
        is_exact: Whether what a server counted in a part in which it was restarted or new is read as well. Without it,
            long parts take little, since only samples near their ends are read.

    Raises:
        MetricsError: the metrics cannot be read.
    """
    selector = f"{family.name}{{{matchers}}}"
    # parts may be shorter than the time between two samples
    reach = format_seconds(max(times.step if is_exact else min(times.step, _REACH), _LOOKBACK))
    last = prometheus.query_range(f"last_over_time({selector}[{reach}])", times.end_of(0), times.end, times.step)
    restarted = _find_restarts(prometheus, family, selector, times) if last and is_exact else {}
    increases = {}
    for server, series in _by_server(last, family).items():
        table, keys = _tabulate(series, family, times)
        rows = _subtract(table)
        born = int(np.argmax(~np.isnan(table).all(axis=1)))
        for part in sorted(restarted.get(server, set()) | {born}) if is_exact else ():
            if part > 0:
                rows[part - 1] = _count_samples(prometheus, family, server, keys, times, part)
        increases[server] = {key: rows[:, index] for index, key in enumerate(keys)}
    return increases


def _find_restarts(prometheus: Prometheus, family: Family, selector: str, times: Times) -> dict[Server, set[int]]:
    """Return the parts in which a server was restarted."""
    without = ", ".join(("__name__", *family.labels))
    resets = f"max without ({without}) (resets({selector}[{format_seconds(times.step + _LOOKBACK)}])) > 0"
    matrix = prometheus.query_range(resets, times.end_of(0), times.end, times.step)
    return {_server(each, family): {_part(at, times) for at, _ in each.values} for each in matrix}


def match(label: str, value: str) -> str:
    """Return a matcher of PromQL."""
    return f"{label}={json.dumps(value, ensure_ascii=False)}"


def match_any(label: str, values: Sequence[str]) -> str:
    """Return a matcher of PromQL for several values."""
    return f"{label}=~{json.dumps('|'.join(map(re.escape, values)), ensure_ascii=False)}"


def format_seconds(duration: timedelta) -> str:
    """Return a duration as PromQL has it."""
    return f"{max(1, round(duration.total_seconds()))}s"


def _server(series: Series, family: Family) -> Server:
    return frozenset((name, value) for name, value in series.labels.items() if name not in ("__name__", *family.labels))


def _by_server(matrix: Sequence[Series], family: Family) -> Mapping[Server, list[Series]]:
    servers: dict[Server, list[Series]] = defaultdict(list)
    for series in matrix:
        servers[_server(series, family)].append(series)
    return servers


def _key(series: Series, family: Family) -> Key:
    labels = dict(series.labels)
    return tuple(family.bin_of(labels) if label == family.bin else labels.get(label, "") for label in family.labels)


def _part(at: datetime, times: Times) -> int:
    return round((at - times.end_of(0)) / times.step)


def _tabulate(series: Sequence[Series], family: Family, times: Times) -> tuple[Float64s, list[Key]]:
    """Return values of shape [ends of parts, series], NaN where there is none, and the labels of the series."""
    columns = {key: index for index, key in enumerate(dict.fromkeys(_key(each, family) for each in series))}
    table = np.full((times.parts + 1, len(columns)), np.nan)
    for each in series:
        column = columns[_key(each, family)]
        for at, value in each.values:
            table[_part(at, times), column] = np.fmax(table[_part(at, times), column], value)
    return table, list(columns)


def _subtract(table: Float64s) -> Float64s:
    """Return the increases between rows of counters of one server; the first row that has values is the base."""
    increases = np.zeros((len(table) - 1, table.shape[1]))
    known = None
    for part, row in enumerate(table):
        if not np.isnan(row).all():
            current = _fill(row, known)
            if known is not None:
                increases[part - 1] = _increase(known, current)
            known = current
    return increases


def _fill(row: Float64s, known: Float64s | None) -> Float64s:
    """Return counters with their last value where they have none now: 0 before a category was first seen."""
    return np.where(np.isnan(row), 0.0 if known is None else known, row)


def _increase(before: Float64s, after: Float64s) -> Float64s:
    return after if (after < before).any() else after - before


def _count_samples(
    prometheus: Prometheus, family: Family, server: Server, keys: Sequence[Key], times: Times, part: int
) -> Float64s:
    """Return the increases within one part, from the samples as they were scraped."""
    matchers = ", ".join(match(name, value) for name, value in sorted(server))
    selector = f"{family.name}{{{matchers}}}[{format_seconds(times.step + _LOOKBACK)}]"
    series = [
        each for each in prometheus.query_samples(selector, times.end_of(part)) if _server(each, family) == server
    ]
    columns = {key: index for index, key in enumerate(keys)}
    samples: dict[datetime, Float64s] = {}
    for each in series:
        column = columns.get(_key(each, family))
        if column is not None:
            for at, value in each.values:
                samples.setdefault(at, np.full(len(keys), np.nan))[column] = value
    total = np.zeros(len(keys))
    for increase in _increases_within(samples, times.end_of(part - 1)):
        total += increase
    return total


def _increases_within(samples: Mapping[datetime, Float64s], start: datetime) -> Iterator[Float64s]:
    known = None
    for at in sorted(samples):
        current = _fill(samples[at], known)
        if known is not None and at > start:
            yield _increase(known, current)
        known = current

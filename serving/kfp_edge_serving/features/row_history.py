"""The last rows of each group, from which the server computes the windows that end at a new row."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kfp_edge_serving.errors import RequestError
from kfp_edge_serving.features.rolling_windows import Float32s

#: Comparable within one column: a number, or nanoseconds since 1970.
Time = int | float
#: Positions of rows of a request.
Positions = list[int]


class NewRow(NamedTuple):
    """One row of a request: its group ("" where there are none) and its time."""

    group: str
    time: Time


class StoredRow(NamedTuple):
    """Where a row is after it was stored: at `position` in `series`, the last rows of its group; shape [columns, rows].

    `is_repeated` says that the row had been sent before.
    """

    series: Float32s
    position: int
    is_repeated: bool


class LateRow(NamedTuple):
    """A row that was ignored, since its group already has a row of a later time."""

    last_time: Time


class _Group(NamedTuple):
    last_time: Time
    #: The last rows, shape [columns, rows]; replaced as a whole, never changed.
    rows: Float32s
    #: The time of each row while there are fewer than are kept, since earlier rows may still come; none afterwards.
    times: tuple[Time, ...]


class GroupCounts(NamedTuple):
    """Groups whose windows are full, groups that are still too short, and groups that were forgotten so far."""

    full: int
    warming_up: int
    evicted: int


class RowHistory:
    """The last rows of each group, of a limited number of groups; safe to use from several threads.

    Of more groups, the one that was used least recently is forgotten.
    """

    def __init__(self, columns: int, rows: int, max_groups: int, max_bytes: int) -> None:
        """Keep nothing yet.

        Args:
            columns: Values of a row.
            rows: Rows that are kept of each group.
            max_groups: The largest number of groups.
            max_bytes: Memory for the values of all groups; at least one group is kept.
        """
        self._columns = columns
        self._rows = rows
        self._max_groups = max_groups
        self._max_bytes = max_bytes
        self._groups: OrderedDict[str, _Group] = OrderedDict()
        self._evicted = 0
        self._lock = threading.Lock()

    def keep_rows(self, rows: int) -> None:
        """Keep at least so many rows of each group from now on: a second model has longer windows."""
        with self._lock:
            self._rows = max(self._rows, rows)

    def count_groups(self, rows_needed: int) -> GroupCounts:
        """Return how many groups have so many rows, how many have fewer, and how many were forgotten."""
        with self._lock:
            full = sum(group.rows.shape[1] >= rows_needed for group in self._groups.values())
            return GroupCounts(full, len(self._groups) - full, self._evicted)

    def add(self, rows: Sequence[NewRow], values: Float32s, *, has_unique_times: bool) -> list[StoredRow | LateRow]:
        """Store rows in their order, all of them or none.

        Args:
            rows: The group and time of each row.
            values: The values of the rows, shape [columns, rows]; NaN where missing.
            has_unique_times: Whether a row of the time of the last one is the same row again, which is not stored
                twice. Otherwise it is one more row.

        Returns:
            For each row where it is. A row of an earlier time than the last one of its group is ignored, unless the
            group has fewer rows than are kept and its times are unique: then it takes its place among them, so that
            a client may send the history of a machine after its newest row.

        Raises:
            RequestError: a row of the time of another one has other values, so that one of them is wrong.
        """
        positions: dict[str, Positions] = {}
        for position, row in enumerate(rows):
            positions.setdefault(row.group, []).append(position)
        results: list[StoredRow | LateRow | None] = [None] * len(rows)
        updates: dict[str, _Group] = {}
        with self._lock:
            for name, members in positions.items():
                times = [rows[position].time for position in members]
                group = self._groups.get(name)
                update, located = self._place(group, times, values[:, members], members, has_unique_times)
                if update is not None:
                    updates[name] = update
                for position, result in zip(members, located, strict=True):
                    results[position] = result
            for name in positions:
                if name in updates:
                    self._groups[name] = updates[name]
                if name in self._groups:
                    self._groups.move_to_end(name)
            self._evict()
        return [result for result in results if result is not None]

    def _place(
        self, group: _Group | None, times: list[Time], values: Float32s, members: Positions, has_unique_times: bool
    ) -> tuple[_Group | None, list[StoredRow | LateRow]]:
        """Return a group with further rows, None if it stays as it is, and where each of the rows is."""
        if group is not None and group.times and has_unique_times and min(times) < group.last_time:
            return self._merge(group, times, values, members)
        return self._extend(group, times, values, members, has_unique_times)

    def _extend(
        self, group: _Group | None, times: list[Time], values: Float32s, members: Positions, has_unique_times: bool
    ) -> tuple[_Group | None, list[StoredRow | LateRow]]:
        """Add rows behind the last one; those of an earlier time are late."""
        kept = np.empty((self._columns, 0), np.float32) if group is None else group.rows
        count = kept.shape[1]
        last_time = None if group is None else group.last_time
        #: The new rows among `values`; of every row its position in the series and whether it is repeated, or the time
        #: of the last row where it is late.
        new: list[int] = []
        outcomes: list[tuple[int, bool] | Time] = []
        for index, time in enumerate(times):
            if last_time is None or time > last_time or (time == last_time and not has_unique_times):
                new.append(index)
                last_time = time
                outcomes.append((count + len(new) - 1, False))
            elif time == last_time:
                last = values[:, new[-1]] if new else kept[:, -1]
                if not np.array_equal(last, values[:, index], equal_nan=True):
                    raise _contradiction(members[index])
                outcomes.append((count + len(new) - 1, True))
            else:
                outcomes.append(last_time)
        series = np.concatenate([kept, values[:, new]], axis=1) if new else kept
        located = [
            StoredRow(series, *outcome) if isinstance(outcome, tuple) else LateRow(outcome) for outcome in outcomes
        ]
        if not new or last_time is None:
            return None, located
        stored_times = () if group is None else group.times
        # a group that was full when fewer rows were kept has no times any more
        has_all_times = len(stored_times) == count
        new_times = tuple(times[index] for index in new)
        return self._keep_last(series, last_time, stored_times + new_times if has_all_times else ()), located

    def _merge(
        self, group: _Group, times: list[Time], values: Float32s, members: Positions
    ) -> tuple[_Group, list[StoredRow | LateRow]]:
        """Put rows among those of a group that has fewer than are kept, all in the order of their unique times."""
        columns = dict(zip(group.times, group.rows.T, strict=True))
        is_repeated = []
        for index, time in enumerate(times):
            is_repeated.append(time in columns)
            if not np.array_equal(columns.setdefault(time, values[:, index]), values[:, index], equal_nan=True):
                raise _contradiction(members[index])
        merged_times = sorted(columns)
        series = np.stack([columns[time] for time in merged_times], axis=1)
        positions = {time: position for position, time in enumerate(merged_times)}
        located: list[StoredRow | LateRow] = [
            StoredRow(series, positions[time], known) for time, known in zip(times, is_repeated, strict=True)
        ]
        return self._keep_last(series, merged_times[-1], tuple(merged_times)), located

    def _keep_last(self, series: Float32s, last_time: Time, times: tuple[Time, ...]) -> _Group:
        is_full = series.shape[1] >= self._rows
        return _Group(last_time, series[:, -self._rows :].copy(), () if is_full else times)

    def _evict(self) -> None:
        bytes_of_group = self._columns * self._rows * np.dtype(np.float32).itemsize
        limit = max(1, min(self._max_groups, self._max_bytes // bytes_of_group))
        while len(self._groups) > limit:
            self._groups.popitem(last=False)
            self._evicted += 1


def _contradiction(position: int) -> RequestError:
    return RequestError(
        f"row {position} has the time of another row of its group and other values; every row of a group needs a time "
        "of its own.",
        409,
    )

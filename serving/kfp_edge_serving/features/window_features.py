"""The computed features of one model: rows of clients in, the features of those whose windows are full out."""

import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from kfp_edge_serving.errors import RequestError
from kfp_edge_serving.features.definition import FeatureDefinition
from kfp_edge_serving.features.rolling_windows import STATISTICS, Float32s, compute_last_window, compute_windows
from kfp_edge_serving.features.row_history import GroupCounts, LateRow, NewRow, RowHistory, StoredRow
from kfp_edge_serving.features.row_times import format_time, read_time_and_group
from kfp_edge_serving.json_types import JsonObject

#: What can become of a row, in metrics and answers.
ANSWERED, REPEATED, WARMING_UP, LATE, INCOMPLETE = "answered", "repeated", "warming_up", "late", "incomplete"
ROW_STATUSES = (ANSWERED, REPEATED, WARMING_UP, LATE, INCOMPLETE)


class ComputedRows(NamedTuple):
    """The computed features of the rows of one request.

    Attributes:
        answered: Positions of the rows that have all of their features.
        features: Their features, shape [answered, features], in the order of the definition.
        not_answered: For each other row its position, its status and what is known about it.
    """

    answered: list[int]
    features: Float32s
    not_answered: list[JsonObject]


class WindowFeatures:
    """Computes the features of rows from the rows before them; safe to use from several threads."""

    def __init__(self, definition: FeatureDefinition, history: RowHistory, required: Sequence[bool]) -> None:
        """Start without any row.

        Args:
            definition: How the features are computed.
            history: The rows of clients.
            required: Whether each feature may not be missing.
        """
        self.definition = definition
        self.history = history
        history.keep_rows(definition.rows_needed)
        self._required = np.array(required, dtype=bool)
        self._indices: tuple[list[int], list[int], list[int]] = (
            [definition.sources.index(feature.source) for feature in definition.windows],
            [definition.widths.index(feature.rows) for feature in definition.windows],
            [STATISTICS.index(feature.statistic) for feature in definition.windows],
        )
        self._lock = threading.Lock()
        self._statuses: Counter[str] = Counter(dict.fromkeys(ROW_STATUSES, 0))

    def count_rows(self) -> dict[str, int]:
        """Return the number of rows so far by what became of them."""
        with self._lock:
            return dict(self._statuses)

    def count_groups(self) -> GroupCounts:
        """Return how many groups can be answered, how many cannot yet, and how many were forgotten."""
        return self.history.count_groups(self.definition.rows_needed)

    def read_times(self, rows: Sequence[JsonObject]) -> list[NewRow]:
        """Return the group and time of each row.

        Raises:
            RequestError: a row lacks one of them.
        """
        return [read_time_and_group(row, number, self.definition) for number, row in enumerate(rows)]

    def compute(self, rows: Sequence[NewRow], values: Float32s) -> ComputedRows:
        """Store rows, and compute the features of those that have enough rows before them.

        Args:
            rows: The group and time of each row.
            values: The sources of windows, shape [sources, rows]; NaN where missing.

        Raises:
            RequestError: all rows are late, or one contradicts a row of the same time; then none is stored.
        """
        located = self.history.add(rows, values, has_unique_times=self.definition.has_unique_times)
        needed = self.definition.rows_needed
        answered: list[int] = []
        not_answered: list[JsonObject] = []
        statuses: Counter[str] = Counter()
        for number, place in enumerate(located):
            if isinstance(place, StoredRow) and place.position + 1 >= needed:
                answered.append(number)
                continue
            entry = self._describe(number, rows[number], place)
            statuses[entry["status"]] += 1
            not_answered.append(entry)
        features = self._compute_features([place for place in located if isinstance(place, StoredRow)])
        incomplete = np.isnan(features) & self._required
        if incomplete.any():
            answered, features = self._take_out_incomplete(rows, answered, features, incomplete, not_answered)
            statuses[INCOMPLETE] += int(incomplete.any(axis=1).sum())
        for number in answered:
            place = located[number]
            statuses[REPEATED if isinstance(place, StoredRow) and place.is_repeated else ANSWERED] += 1
        with self._lock:
            self._statuses.update(statuses)
        if statuses[LATE] == len(rows):
            raise RequestError(self._explain_late(rows[0], located[0]), 409)
        return ComputedRows(answered, features, sorted(not_answered, key=lambda entry: int(entry["row"])))

    def _compute_features(self, stored: Sequence[StoredRow]) -> Float32s:
        """Return the features of all rows whose windows are full, in their order."""
        needed, widths = self.definition.rows_needed, self.definition.widths
        full = [place for place in stored if place.position + 1 >= needed]
        by_series: dict[int, list[int]] = {}
        for index, place in enumerate(full):
            by_series.setdefault(id(place.series), []).append(index)
        features = np.empty((len(full), len(self.definition.windows)), np.float32)
        single: list[int] = []
        for members in by_series.values():
            if len({full[index].position for index in members}) == 1:
                single += members
                continue
            first = min(full[index].position for index in members) - needed + 1
            windows = compute_windows(full[members[0]].series[:, first:], widths)[self._indices]
            features[members] = windows[:, [full[index].position - first for index in members]].T
        if single:
            # of one row of many groups, all windows are computed at once
            ends = [full[index].position + 1 for index in single]
            rows = [full[index].series[:, end - needed : end] for index, end in zip(single, ends, strict=True)]
            statistics = compute_last_window(np.concatenate(rows), widths)
            sources = len(self.definition.sources)
            features[single] = statistics.reshape(len(single), sources, *statistics.shape[1:])[:, *self._indices]
        return features

    def _describe(self, number: int, row: NewRow, place: StoredRow | LateRow) -> JsonObject:
        entry: JsonObject = {"row": number, "status": LATE}
        if self.definition.group_column is not None:
            entry["group"] = row.group
        if isinstance(place, LateRow):
            return entry | {"last_time": format_time(place.last_time, self.definition)}
        seen = place.position + 1
        return entry | {"status": WARMING_UP, "rows_seen": seen, "rows_needed": self.definition.rows_needed}

    def _take_out_incomplete(
        self,
        rows: Sequence[NewRow],
        answered: list[int],
        features: Float32s,
        incomplete: np.ndarray[Any, np.dtype[np.bool_]],
        not_answered: list[JsonObject],
    ) -> tuple[list[int], Float32s]:
        """Move rows that lack a feature, because its source was missing in the whole window, to `not_answered`."""
        is_complete = ~incomplete.any(axis=1)
        for index in np.flatnonzero(~is_complete).tolist():
            number = answered[index]
            feature = self.definition.windows[int(incomplete[index].argmax())]
            entry: JsonObject = {"row": number, "status": INCOMPLETE}
            if self.definition.group_column is not None:
                entry["group"] = rows[number].group
            not_answered.append(entry | {"column": feature.name})
        kept = np.flatnonzero(is_complete).tolist()
        return [answered[index] for index in kept], features[kept]

    def _explain_late(self, row: NewRow, place: StoredRow | LateRow) -> str:
        last = format_time(place.last_time, self.definition) if isinstance(place, LateRow) else ""
        group = "" if self.definition.group_column is None else f" of group '{row.group}'"
        return f"row 0 is late: the last row{group} is of {last}; send the rows in the order of their time."

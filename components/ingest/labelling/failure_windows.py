"""Failure windows: the time ranges in which a machine is known to have failed, and the labels that follow from them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa

from kfp_edge.components.ingest.columns import timestamps
from kfp_edge.components.ingest.labelling.machine_names import describe_similar, find_similar
from kfp_edge.components.ingest.labelling.made_labels import MadeLabels
from kfp_edge.components.ingest.listing import list_names
from kfp_edge.errors import DataError
from kfp_edge.ml.arrays import ClassLabel, Mask
from kfp_edge.ml.dataset import Roles
from kfp_edge.ml.time_numbers import to_numbers
from kfp_edge.storage.files import read_json
from kfp_edge.wording import count_of

#: Name of the target column that failure windows give.
TARGET = "anomaly"

Time = pd.Timestamp | float
Window = tuple[Time, Time]

#: Suffixes of tables, which names of entries may have or lack.
_SUFFIXES = {".csv", ".tsv", ".txt", ".parquet", ".gz", ".zip"}


@dataclass(frozen=True)
class FailureWindows:
    """The windows of a file, sorted by their start, both ends included; they label the rows inside them 1."""

    #: By the name of a group or of the data; the only name is "" where the file has none.
    entries: Mapping[str, Sequence[Window]]
    #: The file and the data, for messages and to find the entry of the data.
    file: str
    data: str

    def label(self, frame: pd.DataFrame, roles: Roles) -> MadeLabels:
        """Label rows by the windows: those of its group for each row, else those of the data for all rows.

        Raises:
            DataError: no entry is for a group or for this data, or no row is inside a window.
        """
        times, groups = frame[roles.time], frame[roles.group] if roles.group else None
        by_group = _select_groups(self, groups)
        if groups is not None and by_group:
            selected = [(windows, (groups == group).to_numpy()) for group, windows in by_group.items()]
            warnings = _warn_of_other_names(self, groups, by_group)
        else:
            selected = [(_select_data(self, groups), np.ones(len(times), dtype=bool))]
            warnings = _warn_of_all_groups(self, groups)
        values, rows_of = to_numbers(times), [_find_rows(times, windows, rows) for windows, rows in selected]
        labels, known_at = np.zeros(len(times), dtype=np.int64), values.copy()
        for windows_with_rows in rows_of:
            for window, rows in windows_with_rows.items():
                labels[rows] = 1
                known_at[rows] = np.maximum(known_at[rows], _to_number(window[1]))
        used = sorted(window for windows, _ in selected for window in windows)
        if not labels.any():
            raise DataError(_describe_no_row(times, used))
        return MadeLabels(
            target=TARGET,
            values=labels,
            known_at=known_at,
            known_later="rows of a failure window that reaches into the test part",
            description=f"1 inside a failure window of {Path(self.file).name}",
            training_end=_find_training_end(times, selected, labels == 0),
            warnings=(*warnings, *_warn_of_empty(rows_of)),
        )


def read_windows(
    path: Path, data: str, time_zone: str = "", time_formats: Sequence[str] = (), *, has_number_times: bool = False
) -> FailureWindows:
    """Read failure windows.

    Args:
        path: JSON: `[[start, end], ...]`, or `{name: [[start, end], ...]}` for groups, or for data as in the Numenta
            Anomaly Benchmark.
        data: The name of the data.
        time_zone: IANA name of the zone of times without an offset from UTC; UTC if empty.
        time_formats: The format of the data's time column, and its variants; none where it is ISO 8601.
        has_number_times: Whether the time column holds numbers, in whose units the windows are then.

    Raises:
        DataError: the file has another form.
        StorageError: the file cannot be read.
    """
    content = read_json(path)
    entries = content if isinstance(content, dict) else {"": content}
    read = _NumberReader() if has_number_times else _TimeReader(path, content, time_zone, time_formats)
    parsed = {name: _parse_windows(pairs, path, read) for name, pairs in entries.items()}
    if not any(parsed.values()):
        raise DataError(f"{path} contains no windows; write [[start, end], ...].")
    return FailureWindows(parsed, str(path), data)


def _find_rows(times: pd.Series, windows: Sequence[Window], rows: Mask) -> dict[Window, Mask]:
    """Return the rows of each window, of which those that overlap are joined, among `rows`, shape [rows]."""
    return {window: rows & times.between(*window).to_numpy() for window in _join(windows)}


def _join(windows: Sequence[Window]) -> list[Window]:
    """Return windows, sorted by their start, with those that overlap as one."""
    joined: list[Window] = []
    for start, end in windows:
        if joined and _to_number(start) <= _to_number(joined[-1][1]):
            joined[-1] = joined[-1][0], max(joined[-1][1], end, key=_to_number)
        else:
            joined.append((start, end))
    return joined


def _to_number(time: Time) -> float:
    return float(to_numbers(pd.Series([time]))[0])


def _find_training_end(times: pd.Series, selected: Sequence[tuple[Sequence[Window], Mask]], is_normal: Mask) -> Time:
    """Return the first start of a window with rows inside and normal rows before it; else the first start of all.

    A window that began before the first normal row, or has no row, is none before which anything could be learned.
    """
    starts = [
        window[0]
        for windows, rows in selected
        for window, inside in _find_rows(times, windows, rows).items()
        if inside.any() and (rows & is_normal & (times < window[0]).to_numpy()).any()
    ]
    return min(starts) if starts else min(window[0] for windows, _ in selected for window in windows)


def _describe_no_row(times: pd.Series, windows: Sequence[Window]) -> str:
    which = f"the first window is {windows[0][0]} to {windows[0][1]}" if windows else "there is no window for it"
    return f"no row lies in a failure window: the data covers {times.min()} to {times.max()}, {which}."


def _warn_of_empty(rows_of: Sequence[Mapping[Window, Mask]]) -> tuple[str, ...]:
    """Return a warning where windows contain no row of theirs."""
    empty = [window for windows in rows_of for window, rows in windows.items() if not rows.any()]
    if not empty:
        return ()
    start, end = min(empty)
    verb = "contains" if len(empty) == 1 else "contain"
    return (f"{count_of(len(empty), 'failure window')} {verb} no row of the data (the first is {start} to {end})",)


def _select_groups(windows: FailureWindows, groups: pd.Series | None) -> dict[ClassLabel, Sequence[Window]]:
    """Return the windows of each group that an entry names, in full or without folder and suffix."""
    if groups is None:
        return {}
    names = {name: selected for name, selected in windows.entries.items() if name}
    stems = {_find_stem(name): selected for name, selected in names.items()}
    by_group = {group: names.get(str(group), stems.get(_find_stem(str(group)))) for group in groups.unique().tolist()}
    return {group: selected for group, selected in by_group.items() if selected is not None}


def _select_data(windows: FailureWindows, groups: pd.Series | None) -> Sequence[Window]:
    """Return the windows of all rows: the only ones of a file without names, or those of this data."""
    stem = _find_stem(windows.data)
    for name, selected in windows.entries.items():
        if not name or _find_stem(name) == stem:
            return selected
    or_group = f", or for a group of {groups.name!r}" if groups is not None else ""
    names = list_names(list(windows.entries))
    hint = "" if groups is None else _find_spellings(list(windows.entries), groups)
    raise DataError(
        f"{windows.file} has no windows for the data, {stem!r}{or_group}; it has windows for {names}{hint}."
    )


def _find_spellings(names: Sequence[str], groups: pd.Series) -> str:
    """Return what to change where names differ from those of groups only in how they are written, else ""."""
    similar = find_similar(groups.unique().tolist(), [_find_stem(name) for name in names])
    return f"; write them alike: {describe_similar(similar)}" if similar else ""


def _warn_of_other_names(
    windows: FailureWindows, groups: pd.Series, by_group: Mapping[ClassLabel, Sequence[Window]]
) -> tuple[str, ...]:
    """Return a warning where entries name no group, which may be a slip of the pen."""
    known = {_find_stem(str(group)) for group in by_group}
    others = [name for name in windows.entries if _find_stem(name) not in known]
    if not others:
        return ()
    return (
        f"the failure windows of {list_names(others)} are not used: no group of {groups.name!r} has such a name"
        f"{_find_spellings(others, groups)}",
    )


def _warn_of_all_groups(windows: FailureWindows, groups: pd.Series | None) -> tuple[str, ...]:
    if groups is None or groups.nunique() < 2:
        return ()
    return (
        f"the failure windows apply to every group of {groups.name!r}; to label each group by its own windows, write "
        "{group: [[start, end], ...]}",
    )


def _find_stem(name: str) -> str:
    """Return a name without folders and without the suffixes of tables."""
    stem = Path(name)
    while stem.suffix.lower() in _SUFFIXES:
        stem = stem.with_suffix("")
    return stem.name


def _parse_windows(pairs: Any, path: Path, read: "_Reader") -> list[Window]:
    if not isinstance(pairs, list):
        raise DataError(f"{path} contains {pairs!r} in place of windows; write [[start, end], ...].")
    return sorted(_parse_window(pair, path, read) for pair in pairs)


def _parse_window(pair: Any, path: Path, read: "_Reader") -> Window:
    try:
        first, last = pair
        # in the hour that occurs twice a window begins with the first and ends with the second
        start, end = read(first, is_first=True), read(last, is_first=False)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path} contains {pair!r}, which is no window; write [start, end] as {read.kind}.") from error
    if not start <= end:
        raise DataError(f"{path} contains a window that ends before it starts ({pair[0]} to {pair[1]}).")
    return start, end


def _find_texts(content: Any) -> Iterator[str]:
    """Return the texts in the lists of a JSON value."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict | list):
        for part in content.values() if isinstance(content, dict) else content:
            yield from _find_texts(part)


class _Reader(Protocol):
    """Reads the times of a file."""

    #: What the times are, for messages.
    kind: str

    def __call__(self, value: object, *, is_first: bool) -> Any:
        """Return a time as it is compared with those of the data.

        Raises:
            ValueError: it is no such time.
        """


class _NumberReader:
    """Reads times as numbers, in units of the time column."""

    kind = "numbers, as the time column holds numbers"

    def __call__(self, value: object, *, is_first: bool) -> float:
        """Return a number."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{value!r} is no number")
        return float(value)


class _TimeReader:
    """Reads the times of a file as those of the time column, or else as ISO 8601 or the one format that fits all."""

    kind = "timestamps"

    def __init__(self, path: Path, content: object, time_zone: str, time_formats: Sequence[str]) -> None:
        self._times: dict[str, pd.Timestamp] = {}
        self._time_zone = time_zone
        texts = list(_find_texts(content))
        if time_formats and texts:
            as_in_data = timestamps.read_like(
                pa.chunked_array([pa.array(texts, pa.string())]), time_formats
            ).to_pandas()
            zone = "UTC" if "%z" in time_formats[0] else None
            self._times = {
                text: time.tz_localize(zone)
                for text, time in zip(texts, as_in_data, strict=True)
                if not pd.isna(time) and not timestamps.is_iso(text)
            }
        others = [text for text in texts if text not in self._times and not timestamps.is_iso(text)]
        column = pa.chunked_array([pa.array(others, pa.string())])
        times = timestamps.read_times("time", column, "") if others else None
        if isinstance(times, timestamps.Times):
            self._times |= zip(others, times.values.to_pandas(), strict=True)
        elif times is not None and not times.example:
            raise DataError(
                f"{path} {times.problem}; write them like those of the time column, or as ISO 8601, such as "
                "2024-01-31 13:00."
            )

    def __call__(self, value: object, *, is_first: bool) -> pd.Timestamp:
        """Return the time of a text, in UTC without a zone."""
        if isinstance(value, str) and value in self._times:
            return self._to_utc(self._times[value], is_first=is_first)
        if not isinstance(value, str) or not timestamps.is_iso(value):
            raise ValueError(f"{value!r} is no time")
        return self._to_utc(pd.Timestamp(value), is_first=is_first)

    def _to_utc(self, time: pd.Timestamp, *, is_first: bool) -> pd.Timestamp:
        if time.tzinfo is None and self._time_zone:
            time = time.tz_localize(ZoneInfo(self._time_zone), ambiguous=is_first, nonexistent="shift_forward")
        return time if time.tzinfo is None else time.tz_convert(None)

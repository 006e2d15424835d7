"""Failure windows: the time ranges in which a machine is known to have failed, and the labels that follow from them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa

from kfp_edge.components.ingest.columns import timestamps
from kfp_edge.components.ingest.listing import list_names
from kfp_edge.errors import DataError
from kfp_edge.ml.arrays import ClassLabel, Int64s, Mask
from kfp_edge.storage.files import read_json

#: Name of the target column that failure windows give.
TARGET = "anomaly"

Window = tuple[pd.Timestamp, pd.Timestamp]

#: Suffixes of tables, which names of entries may have or lack.
_SUFFIXES = {".csv", ".tsv", ".txt", ".parquet", ".gz", ".zip"}


@dataclass(frozen=True)
class FailureWindows:
    """The windows of a file, sorted by their start, both ends included."""

    #: By the name of a group or of the data; the only name is "" where the file has none.
    entries: Mapping[str, Sequence[Window]]
    #: The file and the data, for messages and to find the entry of the data.
    file: str
    data: str


@dataclass(frozen=True)
class WindowLabels:
    """The labels that windows give: 1 for each row inside a window of its group, else 0; shape [rows]."""

    labels: Int64s
    #: The first start of a window.
    start: pd.Timestamp
    #: What a reviewer should know, each in one sentence.
    warnings: tuple[str, ...] = ()


def read_windows(path: Path, data: str, time_zone: str = "", time_formats: Sequence[str] = ()) -> FailureWindows:
    """Read failure windows.

    Args:
        path: JSON: `[[start, end], ...]`, or `{name: [[start, end], ...]}` for groups, or for data as in the Numenta
            Anomaly Benchmark.
        data: The name of the data.
        time_zone: IANA name of the zone of times without an offset from UTC; UTC if empty.
        time_formats: The format of the data's time column, and its variants; none where it is ISO 8601.

    Raises:
        DataError: the file has another form.
        StorageError: the file cannot be read.
    """
    content = read_json(path)
    entries = content if isinstance(content, dict) else {"": content}
    read_time = _TimeReader(path, list(_find_texts(content)), time_formats)
    parsed = {name: _parse_windows(pairs, path, time_zone, read_time) for name, pairs in entries.items()}
    if not any(parsed.values()):
        raise DataError(f"{path} contains no windows; write [[start, end], ...].")
    return FailureWindows(parsed, str(path), data)


def label_rows(windows: FailureWindows, times: pd.Series, groups: pd.Series | None) -> WindowLabels:
    """Label rows by the windows: those of its group for each row, else those of the data for all rows.

    Args:
        windows: What was read.
        times: The time of each row, shape [rows].
        groups: The group of each row, shape [rows], named as its column; None where there are none.

    Raises:
        DataError: no entry is for a group or for this data, or no row is inside a window.
    """
    by_group = _select_groups(windows, groups)
    labels = np.zeros(len(times), dtype=np.int64)
    if groups is not None and by_group:
        used = [window for selected in by_group.values() for window in selected]
        for group, selected in by_group.items():
            _mark(labels, times, selected, (groups == group).to_numpy())
        warnings = _warn_of_other_names(windows, groups, by_group)
    else:
        used = list(_select_data(windows, groups))
        _mark(labels, times, used, np.ones(len(times), dtype=bool))
        warnings = _warn_of_all_groups(windows, groups)
    if not labels.any():
        first = min(used, default=None)
        which = f"the first window is {first[0]} to {first[1]}" if first else "there is no window for it"
        raise DataError(f"no row lies in a failure window: the data covers {times.min()} to {times.max()}, {which}.")
    return WindowLabels(labels, min(used)[0], warnings)


def _mark(labels: Int64s, times: pd.Series, windows: Sequence[Window], rows: Mask) -> None:
    for start, end in windows:
        labels[rows & times.between(start, end).to_numpy()] = 1


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
    raise DataError(f"{windows.file} has no windows for the data, {stem!r}{or_group}; it has windows for {names}.")


def _warn_of_other_names(
    windows: FailureWindows, groups: pd.Series, by_group: Mapping[ClassLabel, Sequence[Window]]
) -> tuple[str, ...]:
    """Return a warning where entries name no group, which may be a slip of the pen."""
    known = {_find_stem(str(group)) for group in by_group}
    others = [name for name in windows.entries if _find_stem(name) not in known]
    if not others:
        return ()
    return (f"the failure windows of {list_names(others)} are not used: no group of {groups.name!r} has such a name",)


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


def _parse_windows(pairs: Any, path: Path, time_zone: str, read_time: "_TimeReader") -> list[Window]:
    if not isinstance(pairs, list):
        raise DataError(f"{path} contains {pairs!r} in place of windows; write [[start, end], ...].")
    return sorted(_parse_window(pair, path, time_zone, read_time) for pair in pairs)


def _parse_window(pair: Any, path: Path, time_zone: str, read_time: "_TimeReader") -> Window:
    try:
        first, last = (read_time(text) for text in pair)
        # in the hour that occurs twice a window begins with the first and ends with the second
        start, end = _to_naive_utc(first, time_zone, is_first=True), _to_naive_utc(last, time_zone, is_first=False)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path} contains {pair!r}, which is no window; write [start, end] as timestamps.") from error
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


class _TimeReader:
    """Reads the times of a file as those of the time column, or else as ISO 8601 or the one format that fits all."""

    def __init__(self, path: Path, texts: Sequence[str], time_formats: Sequence[str]) -> None:
        self._times: dict[str, pd.Timestamp] = {}
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

    def __call__(self, text: object) -> pd.Timestamp:
        """Return the time of a text.

        Raises:
            ValueError: it is no time.
        """
        if isinstance(text, str) and text in self._times:
            return self._times[text]
        if not isinstance(text, str) or not timestamps.is_iso(text):
            raise ValueError(f"{text!r} is no time")
        return pd.Timestamp(text)


def _to_naive_utc(timestamp: pd.Timestamp, time_zone: str, *, is_first: bool) -> pd.Timestamp:
    if timestamp.tzinfo is None and time_zone:
        timestamp = timestamp.tz_localize(ZoneInfo(time_zone), ambiguous=is_first, nonexistent="shift_forward")
    return timestamp if timestamp.tzinfo is None else timestamp.tz_convert(None)

"""Failure windows: the time ranges in which a machine is known to have failed, and the labels that follow from them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from kfp_edge.errors import DataError
from kfp_edge.ml.arrays import Int64s
from kfp_edge.storage.files import read_json

#: Name of the target column that failure windows give.
TARGET = "anomaly"

Window = tuple[pd.Timestamp, pd.Timestamp]


def read_windows(path: Path, data: str, time_zone: str = "") -> list[Window]:
    """Read failure windows, sorted by their start, both ends included.

    Args:
        path: JSON: `[[start, end], ...]`, or `{name: [[start, end], ...]}` as in the Numenta Anomaly Benchmark.
        data: The name of the data, which selects the entry when there are several.
        time_zone: IANA name of the zone of times without an offset from UTC; UTC if empty.

    Raises:
        DataError: the file has another form, or none of its entries is for this data.
        StorageError: the file cannot be read.
    """
    pairs = read_json(path)
    if isinstance(pairs, dict):
        pairs = _select_entry(pairs, path, data)
    if not isinstance(pairs, list) or not pairs:
        raise DataError(f"{path} contains no windows; write [[start, end], ...].")
    return sorted(_parse_window(pair, path, time_zone) for pair in pairs)


def label_rows(times: pd.Series, windows: Sequence[Window]) -> Int64s:
    """Return 1 for each time inside a window, else 0; shape [rows].

    Raises:
        DataError: no row is inside a window, so the windows belong to other data.
    """
    labels = np.zeros(len(times), dtype=np.int64)
    for start, end in windows:
        labels[times.between(start, end).to_numpy()] = 1
    if not labels.any():
        raise DataError(
            f"no row lies in a failure window: the data covers {times.min()} to {times.max()}, "
            f"the first window is {windows[0][0]} to {windows[0][1]}."
        )
    return labels


def _select_entry(entries: dict[str, Any], path: Path, data: str) -> Any:
    stem = Path(data).stem
    matches = [pairs for name, pairs in entries.items() if Path(name).stem == stem or len(entries) == 1]
    if not matches:
        raise DataError(f"{path} has no windows named {stem!r}; it has {', '.join(sorted(entries)) or 'none'}.")
    return matches[0]


def _parse_window(pair: Any, path: Path, time_zone: str) -> Window:
    try:
        first, last = (pd.Timestamp(text) for text in pair)
        # in the hour that occurs twice a window begins with the first and ends with the second
        start, end = _to_naive_utc(first, time_zone, is_first=True), _to_naive_utc(last, time_zone, is_first=False)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path} contains {pair!r}, which is no window; write [start, end] as timestamps.") from error
    if not start <= end:
        raise DataError(f"{path} contains a window that ends before it starts ({pair[0]} to {pair[1]}).")
    return start, end


def _to_naive_utc(timestamp: pd.Timestamp, time_zone: str, *, is_first: bool) -> pd.Timestamp:
    if timestamp.tzinfo is None and time_zone:
        timestamp = timestamp.tz_localize(ZoneInfo(time_zone), ambiguous=is_first, nonexistent="shift_forward")
    return timestamp if timestamp.tzinfo is None else timestamp.tz_convert(None)

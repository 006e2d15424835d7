"""What only ordered rows have: features that look back, and windows in which the machine is known to have failed."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kfp_edge.errors import KfpEdgeError
from kfp_edge.ml.dataset import Roles
from kfp_edge.storage.files import read_json

#: The target column that failure windows become.
TARGET = "anomaly"

Window = tuple[pd.Timestamp, pd.Timestamp]


def read_windows(path: Path, data: str) -> list[Window]:
    """Read failure windows, sorted by their start, both ends included.

    Args:
        path: JSON: `[[start, end], ...]`, or `{name: [[start, end], ...]}` as the Numenta Anomaly Benchmark
            writes it.
        data: The name of the data, which picks the entry when there are several.

    Raises:
        KfpEdgeError: it is not such a file, or none of its entries is for this data.
    """
    pairs = read_json(path)
    if isinstance(pairs, dict):
        pairs = _entry(pairs, path, data)
    if not isinstance(pairs, list) or not pairs:
        raise KfpEdgeError(f"{path} holds no windows; write [[start, end], ...].")
    return sorted(_window(pair, path) for pair in pairs)


def _entry(entries: dict[str, Any], path: Path, data: str) -> Any:
    stem = Path(data).stem
    fitting = [pairs for name, pairs in entries.items() if Path(name).stem == stem or len(entries) == 1]
    if not fitting:
        raise KfpEdgeError(f"{path} has no windows named {stem!r}; it has {', '.join(sorted(entries)) or 'none'}.")
    return fitting[0]


def _window(pair: Any, path: Path) -> Window:
    try:
        start, end = (_naive(pd.Timestamp(text)) for text in pair)
    except (TypeError, ValueError) as error:
        raise KfpEdgeError(f"{path} holds {pair!r}, which is no window; write [start, end] as timestamps.") from error
    if not start <= end:
        raise KfpEdgeError(f"{path} holds a window that ends before it starts ({pair[0]} to {pair[1]}).")
    return start, end


def _naive(moment: pd.Timestamp) -> pd.Timestamp:
    return moment if moment.tzinfo is None else moment.tz_convert(None)


def inside(times: pd.Series, windows: Sequence[Window]) -> Any:
    """Return 1 for each time inside a window, else 0, as int64 of shape [rows].

    Raises:
        KfpEdgeError: no row lies in any window, so the windows are not this data's.
    """
    hit = np.zeros(len(times), dtype=np.int64)
    for start, end in windows:
        hit[times.between(start, end).to_numpy()] = 1
    if not hit.any():
        raise KfpEdgeError(
            f"no row lies in a failure window: the data covers {times.min()} to {times.max()}, "
            f"the first window is {windows[0][0]} to {windows[0][1]}."
        )
    return hit


def with_rolling(frame: pd.DataFrame, roles: Roles, windows: Sequence[int]) -> tuple[pd.DataFrame, Roles]:
    """Add, for each numeric feature and window of `w` rows, `<name> mean|std|min|max|diff <w>`.

    A row sees itself and the `w - 1` rows before it, of its own group only; fewer at the start. `diff` is
    the value minus the mean.

    Raises:
        KfpEdgeError: a window is under 2 rows, or a column of such a name exists.
    """
    if min(windows) < 2:
        raise KfpEdgeError(f"a rolling window must be at least 2 rows, not {min(windows)}.")
    if roles.group:
        parts = [_rolled(part, roles.numeric, windows) for _, part in frame.groupby(roles.group, sort=False)]
        added = pd.concat(parts).sort_index()
    else:
        added = _rolled(frame, roles.numeric, windows)
    names = tuple(str(name) for name in added)
    taken = [name for name in names if name in frame]
    if taken:
        raise KfpEdgeError(f"the data has a column {taken[0]!r} already, which rolling_windows would add; rename it.")
    more = dataclasses.replace(roles, numeric=roles.numeric + names, features=roles.features + names)
    return pd.concat([frame, added], axis=1), more


def _rolled(frame: pd.DataFrame, names: Sequence[str], windows: Sequence[int]) -> pd.DataFrame:
    added = {}
    for name in names:
        values = frame[name]
        for width in dict.fromkeys(windows):
            past = values.rolling(width, min_periods=1)
            mean = past.mean()
            added[f"{name} mean {width}"] = mean
            added[f"{name} std {width}"] = past.std().fillna(0.0)
            added[f"{name} min {width}"] = past.min()
            added[f"{name} max {width}"] = past.max()
            added[f"{name} diff {width}"] = values - mean
    return pd.DataFrame(added, index=frame.index)

"""Rolling features: statistics of a row and the rows before it."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from kfp_edge.components.ingest.listing import list_names
from kfp_edge.components.ingest.splitting.left_out import LeftOutRows
from kfp_edge.errors import DataError
from kfp_edge.ml.arrays import Int64s
from kfp_edge.ml.dataset import Roles
from kfp_edge.ml.rolling_windows import RollingWindows
from kfp_edge.wording import count_of
from kfp_edge_serving.features.rolling_windows import compute_windows


def add_rolling_features(frame: pd.DataFrame, roles: Roles, windows: RollingWindows) -> tuple[pd.DataFrame, Roles]:
    """Add the statistics of the windows that end at each row: of the row and those before it, of the same group only.

    The server computes them with the same function. Windows are of fewer rows at the start of a group.

    Args:
        frame: The rows in the order of time.
        roles: The roles of its columns.
        windows: The windows.

    Raises:
        DataError: a column of such a name exists.
    """
    names = tuple(feature.name for feature in windows.list_features())
    existing = [name for name in names if name in frame]
    if existing:
        raise DataError(f"the data already has a column {existing[0]!r}, which rolling_windows would add; rename it.")
    features = np.empty((len(names), len(frame)), np.float32)
    for rows in _list_groups(frame, roles):
        values = np.stack([frame[name].to_numpy(np.float32)[rows] for name in windows.sources])
        features[:, rows] = compute_windows(values, windows.widths).reshape(len(names), -1)
    added = pd.DataFrame(features.T, columns=list(names), index=frame.index)
    extended = dataclasses.replace(roles, numeric=roles.numeric + names, features=roles.features + names)
    return pd.concat([frame, added], axis=1), extended


def _list_groups(frame: pd.DataFrame, roles: Roles) -> Iterator[Int64s | slice]:
    """Yield the positions of the rows of each group."""
    if not roles.group:
        yield slice(None)
        return
    codes, groups = pd.factorize(frame[roles.group])
    order = np.argsort(codes, kind="stable")
    yield from np.split(order, np.searchsorted(codes[order], np.arange(1, len(groups))))


def leave_out_warm_up(frame: pd.DataFrame, roles: Roles, windows: Sequence[int], left_out: LeftOutRows) -> None:
    """Leave out the rows before the longest window is full: their statistics are of fewer rows and vary far more.

    Raises:
        DataError: no row is left.
    """
    longest = max(windows)
    if roles.group:
        groups = frame.groupby(roles.group, sort=True)
        position = groups.cumcount().to_numpy()
        sizes = groups.size()
        short = sizes.index[sizes < longest].tolist()
        if short:
            reason = f"rows of groups that are shorter than the longest rolling window ({list_names(short)})"
            left_out.add(frame[roles.group].isin(short).to_numpy(), reason)
        most_rows = int(sizes.max())
    else:
        position, most_rows = np.arange(len(frame)), len(frame)
    left_out.add(position < longest - 1, f"warm-up rows, before a rolling window of {longest} rows is full")
    if left_out.mask.all():
        where = f"the longest group of {roles.group!r}" if roles.group else "it"
        raise DataError(
            f"rolling_windows of {longest} rows leave no row of the data: {where} has {count_of(most_rows, 'row')}; "
            "give shorter windows or more data."
        )


def find_lost_classes(labels: pd.Series | None, windows: Sequence[int], left_out: LeftOutRows) -> list[str]:
    """Return a warning that names the classes of which no row is left where the longest window is full.

    Args:
        labels: The class of each row; None where there are no classes.
        windows: The lengths of the windows.
        left_out: The rows that are left out.

    Raises:
        DataError: a single class is left.
    """
    if labels is None:
        return []
    left = set(labels[~left_out.mask].unique().tolist())
    lost = sorted(set(labels.unique().tolist()) - left)
    if not lost:
        return []
    what = (
        f"every row of class {list_names(lost)} of {labels.name!r} is left out, before a rolling window of "
        f"{max(windows)} rows is full"
    )
    if len(left) == 1:
        raise DataError(f"{what}, so nothing can be learned or measured; give shorter rolling_windows.")
    return [f"{what}, so the model does not know it; give shorter rolling_windows"]

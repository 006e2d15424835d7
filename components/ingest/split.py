"""Select the rows to test on, so that nothing leaks from them into training. Every function returns a mask of rows."""

import numpy as np
import pandas as pd

from kfp_edge.errors import DataError
from kfp_edge.ml.arrays import ClassLabel, Int64s, Mask


def select_stratified(labels: pd.Series | None, rows: int, fraction: float, seed: int) -> Mask:
    """Draw `fraction` of the rows of each class at random; without labels, of all rows.

    Raises:
        DataError: a class has a single row, or there is a single row.
    """
    rng = np.random.default_rng(seed)
    codes, classes = (np.zeros(rows, np.int64), [None]) if labels is None else _encode(labels)
    test = np.zeros(rows, dtype=bool)
    for code, name in enumerate(classes):
        members = np.flatnonzero(codes == code)
        if len(members) < 2:
            what = "the data" if labels is None else f"class {name!r} of {labels.name!r}"
            raise DataError(f"{what} has a single row, too few to train and to test on; give more rows.")
        count = min(max(round(len(members) * fraction), 1), len(members) - 1)
        test[rng.permutation(members)[:count]] = True
    return test


def _encode(labels: pd.Series) -> tuple[Int64s, list[ClassLabel]]:
    codes, classes = pd.factorize(labels, sort=True)
    return codes, list(classes.tolist())


def select_latest(times: pd.Series, fraction: float) -> Mask:
    """Select the last `fraction` of the rows, which are sorted by time; rows of the same time stay together.

    Raises:
        DataError: one of the parts would be empty.
    """
    cut = min(max(round(len(times) * (1 - fraction)), 1), len(times) - 1)
    test = (times >= times.iloc[cut]).to_numpy()
    if test.all():
        raise DataError(
            f"too many rows of {times.name!r} share the time {times.iloc[cut]}, so no row is left to train on; "
            "use split=random or more data."
        )
    return np.asarray(test)


def select_groups(groups: pd.Series, fraction: float, seed: int) -> Mask:
    """Draw `fraction` of the groups at random and select all their rows.

    Raises:
        DataError: there is a single group.
    """
    names = sorted(groups.unique().tolist())
    if len(names) < 2:
        raise DataError(f"{groups.name!r} has the single group {names[0]!r}; a split by group needs two.")
    count = min(max(round(len(names) * fraction), 1), len(names) - 1)
    order = np.random.default_rng(seed).permutation(len(names))
    return np.asarray(groups.isin([names[index] for index in order[:count]]).to_numpy())


def select_from(times: pd.Series, start: pd.Timestamp) -> Mask:
    """Select the rows from `start`, the beginning of the first failure window, on.

    Raises:
        DataError: no row lies before it.
    """
    test = np.asarray((times >= start).to_numpy())
    if test.all():
        raise DataError(f"no row lies before the first failure window ({start}); there is nothing normal to learn.")
    return test

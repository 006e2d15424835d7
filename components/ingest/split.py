"""Cutting rows into a part to learn from and a part to test on, with nothing leaking between them."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kfp_edge.errors import KfpEdgeError

Mask = npt.NDArray[np.bool_]


def by_chance(labels: pd.Series | None, rows: int, fraction: float, seed: int) -> Mask:
    """Return which rows are for testing: `fraction` of each class (of all rows without labels), drawn by `seed`.

    Raises:
        KfpEdgeError: a class has a single row, or there is a single row.
    """
    rng = np.random.default_rng(seed)
    codes, classes = (np.zeros(rows, np.int64), [None]) if labels is None else _coded(labels)
    test = np.zeros(rows, dtype=bool)
    for code, name in enumerate(classes):
        members = np.flatnonzero(codes == code)
        if len(members) < 2:
            what = "the data" if labels is None else f"class {name!r} of {labels.name!r}"
            raise KfpEdgeError(f"{what} has a single row, too few to train and to test on; give more rows.")
        count = min(max(round(len(members) * fraction), 1), len(members) - 1)
        test[rng.permutation(members)[:count]] = True
    return test


def _coded(labels: pd.Series) -> tuple[npt.NDArray[np.int64], list[Any]]:
    codes, classes = pd.factorize(labels, sort=True)
    return codes, list(classes.tolist())


def by_time(times: pd.Series, fraction: float) -> Mask:
    """Return which rows are for testing: the last `fraction` by time, no time in both parts. Rows are sorted.

    Raises:
        KfpEdgeError: one of the parts would be empty.
    """
    cut = min(max(round(len(times) * (1 - fraction)), 1), len(times) - 1)
    test = (times >= times.iloc[cut]).to_numpy()
    if test.all():
        raise KfpEdgeError(
            f"too many rows of {times.name!r} share the time {times.iloc[cut]}, so no row is left to train on; "
            "use split=random or more data."
        )
    return np.asarray(test)


def by_group(groups: pd.Series, fraction: float, seed: int) -> Mask:
    """Return which rows are for testing: those of `fraction` of the groups, drawn by `seed`.

    Raises:
        KfpEdgeError: there is a single group.
    """
    names = sorted(groups.unique().tolist())
    if len(names) < 2:
        raise KfpEdgeError(f"{groups.name!r} has the single group {names[0]!r}; a split by group needs two.")
    count = min(max(round(len(names) * fraction), 1), len(names) - 1)
    order = np.random.default_rng(seed).permutation(len(names))
    return np.asarray(groups.isin([names[place] for place in order[:count]]).to_numpy())


def before(times: pd.Series, start: Any) -> Mask:
    """Return which rows are for testing: those from `start`, the first failure window, on.

    Raises:
        KfpEdgeError: no row lies before it.
    """
    test = np.asarray((times >= start).to_numpy())
    if test.all():
        raise KfpEdgeError(f"no row lies before the first failure window ({start}); there is nothing normal to learn.")
    return test

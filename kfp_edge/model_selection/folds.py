"""The folds of a cross-validation: they divide the training rows in the way in which `ingest` split off the others."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

from kfp_edge.errors import DataError, ParameterError
from kfp_edge.ml.arrays import Int64s, Labels
from kfp_edge.ml.dataset import Dataset
from kfp_edge.tasks.registry import task_of
from kfp_edge.wording import count_of

#: Numbers of folds that can be asked for, beside 0, which is none.
MIN_FOLDS, MAX_FOLDS = 2, 20
#: A fold of groups that follow each other in time learns from at least this share of the rows that it would have if
#: they did so exactly; else they run at the same time.
_MIN_SHARE_BEFORE = 0.5


@dataclass(frozen=True)
class Fold:
    """The row numbers that a model is fitted on and those that it is measured on, both ascending."""

    train: Int64s
    test: Int64s


@dataclass(frozen=True)
class Folds:
    """The folds of a cross-validation, and in words how they divide the rows."""

    folds: tuple[Fold, ...]
    description: str


def check_folds(folds: int) -> None:
    """Refuse a number of folds that no data could be divided into.

    Raises:
        ParameterError: it is neither 0 nor from 2 to 20.
    """
    if folds and not MIN_FOLDS <= folds <= MAX_FOLDS:
        raise ParameterError(f"folds is {folds}; give a number from {MIN_FOLDS} to {MAX_FOLDS}, or 0 for none.")


def make_folds(data: Dataset, count: int, seed: int) -> Folds:
    """Divide training rows by the rule by which the held-out rows were split off.

    Rows that were split at random are drawn at random, with the same share of each class in every fold. Of a split by
    group no group is in two folds. After a split by time, a fold is measured by a model of the rows before it.

    Args:
        data: The training rows; those that did not come from `ingest` are divided by their group, else their time.
        count: The number of folds.
        seed: The seed of what is drawn.

    Raises:
        DataError: there are too few rows of a class, groups or times; the message says what to write instead.
        ParameterError: no data could be divided into so many folds.
    """
    check_folds(count)
    roles = data.roles
    method = data.preparation.split or ("group" if roles.group else "time" if roles.time else "random")
    return _METHODS[method](data, count, seed)


def _divide_rows(data: Dataset, count: int, seed: int) -> Folds:
    strata = task_of(data).find_strata(data)
    if strata is None:
        rows = len(data.frame)
        _check_limits(count, _Limit(rows, f"there are {count_of(rows, 'training row')}"))
        splitter = KFold(count, shuffle=True, random_state=seed)
        drawn = "rows drawn at random"
    else:
        _check_limits(count, _limit_by_class(data, strata))
        splitter = StratifiedKFold(count, shuffle=True, random_state=seed)
        drawn = "rows drawn at random, with the same share of each class"
    pairs = splitter.split(np.zeros(len(data.frame)), strata)
    return Folds(tuple(Fold(train, test) for train, test in pairs), f"{count} folds of {drawn}")


def _divide_groups(data: Dataset, count: int, seed: int) -> Folds:
    codes, names = pd.factorize(data.frame[data.roles.group])
    strata = task_of(data).find_strata(data)
    limits = [] if strata is None else [_limit_by_class(data, strata)]
    _check_limits(count, _limit_by_group(data, len(names)), *limits)
    splitter = GroupKFold(count, shuffle=True, random_state=seed)
    if strata is not None:
        stratified = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
        # it may leave a fold empty where the classes are uneven
        if all(len(test) for _, test in stratified.split(codes, strata, codes)):
            splitter = stratified
    pairs = splitter.split(codes, strata, codes)
    description = f"{count} folds of whole groups of {data.roles.group!r}"
    return Folds(tuple(Fold(train, test) for train, test in pairs), description)


def _divide_time(data: Dataset, count: int, seed: int) -> Folds:
    order, times = _order_by_time(data)
    bounds = _find_bounds(times, count)
    if len(bounds) < count:
        possible = next((fewer for fewer in range(count - 1, 1, -1) if len(_find_bounds(times, fewer)) == fewer), 0)
        _check_limits(count, _Limit(possible, f"too many training rows share a time in {data.roles.time!r}"))
    ends = [*bounds[1:], len(order)]
    folds = (Fold(np.sort(order[:start]), np.sort(order[start:end])) for start, end in zip(bounds, ends, strict=True))
    description = f"{count} folds in the order of {data.roles.time!r}, each measured by a model of the rows before it"
    return Folds(tuple(folds), description)


def _divide_groups_by_time(data: Dataset, count: int, seed: int) -> Folds:
    roles = data.roles
    codes, names = pd.factorize(data.frame[roles.group])
    _check_limits(count, _limit_by_group(data, len(names), first_is_learnt_from=True))
    order, times = _order_by_time(data)
    starts = times[np.unique(codes[order], return_index=True)[1]]
    drawn = np.random.default_rng(seed).permutation(len(starts))
    ordered_groups = drawn[np.argsort(starts[drawn], kind="stable")]
    description = (
        f"{count} folds of whole groups of {roles.group!r} in the order of their start, each measured by a model of "
        "earlier rows of other groups"
    )
    return Folds(tuple(_follow_groups(codes[order], times, order, ordered_groups, count)), description)


def _follow_groups(codes: Int64s, times: Labels, order: Int64s, groups: Int64s, count: int) -> Iterator[Fold]:
    """Yield the folds of groups that start one after another.

    Where they run at the same time, a fold learns from the first part of the time of all other groups.

    Args:
        codes: The group of each row, shape [rows], in the order of time.
        times: The time of each row, shape [rows], ascending.
        order: The row numbers in that order.
        groups: The groups in the order in which they start.
        count: The number of folds; the first block of groups is only learnt from.
    """
    rows = len(codes)
    positions = np.empty(len(groups), dtype=np.int64)
    positions[groups] = np.arange(len(groups))
    sizes = np.bincount(codes)[groups]
    # blocks of groups with about the same number of rows, and at least one group each
    blocks = np.minimum((np.cumsum(sizes) - sizes / 2) * (count + 1) // rows, count).astype(np.int64)
    if len(np.unique(blocks)) <= count:
        blocks = np.arange(len(groups)) * (count + 1) // len(groups)
    block_of_row = blocks[positions[codes]]
    for block in range(1, count + 1):
        is_test_group = block_of_row == block
        cut = times[is_test_group].min()
        share_expected = block / (count + 1)
        if (~is_test_group & (times < cut)).mean() < _MIN_SHARE_BEFORE * share_expected:
            cut = times[min(round(share_expected * rows), rows - 1)]
        train, test = ~is_test_group & (times < cut), is_test_group & (times >= cut)
        yield Fold(np.sort(order[train]), np.sort(order[test]))


def _order_by_time(data: Dataset) -> tuple[Int64s, Labels]:
    """Return the row numbers in the order of time, and the times in that order."""
    times = data.frame[data.roles.time].to_numpy()
    order = np.argsort(times, kind="stable")
    return order, times[order]


def _find_bounds(times: Labels, count: int) -> list[int]:
    """Return where each fold begins in ascending times, which are not divided within one time; fewer where too few."""
    rows = len(times)
    cuts = [times[round(number * rows / (count + 1))] for number in range(1, count + 1)]
    return sorted({int(np.searchsorted(times, cut, side="left")) for cut in cuts} - {0})


@dataclass(frozen=True)
class _Limit:
    """The largest number of folds that the data allows for one reason."""

    folds: int
    reason: str


def _limit_by_class(data: Dataset, strata: Labels) -> _Limit:
    counts = pd.Series(strata).value_counts()
    rarest, rows = counts.index.tolist()[-1], int(counts.iloc[-1])
    what = f"class {rarest!r} of {data.roles.target!r} has {count_of(rows, 'training row')}"
    return _Limit(rows, f"{what}, and every fold holds out one")


def _limit_by_group(data: Dataset, groups: int, *, first_is_learnt_from: bool = False) -> _Limit:
    what = f"the training rows have {count_of(groups, 'group')} of {data.roles.group!r}, which are not divided"
    if first_is_learnt_from:
        return _Limit(groups - 1, f"{what}, and the first one is only learnt from")
    return _Limit(groups, what)


def _check_limits(count: int, *limits: _Limit) -> None:
    """Refuse more folds than the data allows.

    Raises:
        DataError: with the number of folds that would do, as far as there is one.
    """
    least = min(limits, key=lambda limit: limit.folds)
    if least.folds < count:
        remedy = f"write folds={least.folds}" if least.folds >= MIN_FOLDS else "write folds=0, or give more data"
        raise DataError(f"folds is {count}, but {least.reason}; {remedy}.")


#: How rows are divided, by the method of the split.
_METHODS: dict[str, Callable[[Dataset, int, int], Folds]] = {
    "random": _divide_rows,
    "group": _divide_groups,
    "time": _divide_time,
    "group-and-time": _divide_groups_by_time,
}

"""Ways to select the rows to test on, so that nothing leaks from them into training."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kfp_edge.components.ingest.targets.target_rule import TargetRule
from kfp_edge.ml.arrays import ClassLabel, Int64s, Mask
from kfp_edge.ml.time_numbers import to_numbers

#: Random orders of the groups of which a split by group takes the best.
_MAX_TRIES = 200
#: A split by group is good enough if its share of test rows is this near to what is asked for, relative to that.
_GOOD_SHARE = 0.1
#: Share of the rows of the other groups that must lie before the first test group, so that it starts the test part.
_MIN_SHARE_BEFORE = 0.5
#: Fewer rows of a period, before `recent` or in it, make no parts.
_MIN_ROWS_OF_PERIOD = 2
#: Why a split by group and time leaves rows out.
IN_NEITHER_PART = "rows of test groups before the test part begins, and of other groups after that"


class CannotSplitError(Exception):
    """The rows cannot be split in this way; the message is a clause without a full stop."""


@dataclass(frozen=True)
class SplitRows:
    """What a split depends on, for n rows that are sorted by time: Series of shape [n], None where there are none."""

    rows: int
    rule: TargetRule
    labels: pd.Series | None = None
    times: pd.Series | None = None
    groups: pd.Series | None = None
    #: The time at which the label of a row is known, as `to_numbers` gives it.
    known_at: pd.Series | None = None
    #: Why training rows of which it is not known when the test part begins are left out.
    known_later: str = ""
    #: Why whole groups have to be held out, or "".
    needs_groups: str = ""
    #: Since when rows are recent, as `to_numbers` gives it; None where all rows count alike.
    recent_since: float | None = None

    def select(self, mask: Mask) -> "SplitRows":
        """Return those rows that `mask`, shape [n], selects."""
        labels, times, groups, known_at = (
            None if column is None else column[mask].reset_index(drop=True)
            for column in (self.labels, self.times, self.groups, self.known_at)
        )
        return dataclasses.replace(
            self, rows=int(mask.sum()), labels=labels, times=times, groups=groups, known_at=known_at
        )


@dataclass(frozen=True)
class Selection:
    """Which rows are in which part; each mask has shape [n]."""

    test: Mask
    #: Rows that are in neither part.
    left_out: Mask
    #: Why they are in neither part.
    reason: str = IN_NEITHER_PART

    @property
    def train(self) -> Mask:
        """The rows to train on."""
        return ~(self.test | self.left_out)


def select_stratified(labels: pd.Series | None, rows: int, fraction: float, seed: int) -> Selection:
    """Draw `fraction` of the rows of each class at random; without labels, of all rows.

    Raises:
        CannotSplitError: a class has a single row, or there is a single row.
    """
    rng = np.random.default_rng(seed)
    # classes in the order of appearance, so that the same rows are drawn however they are called
    codes, classes = (np.zeros(rows, np.int64), [None]) if labels is None else _encode(labels, sort=False)
    test = np.zeros(rows, dtype=bool)
    for code, name in enumerate(classes):
        members = np.flatnonzero(codes == code)
        if len(members) < 2:
            what = "the data" if labels is None else f"class {name!r} of {labels.name!r}"
            raise CannotSplitError(f"{what} has a single row, too few to train and to test on")
        count = min(max(round(len(members) * fraction), 1), len(members) - 1)
        test[rng.permutation(members)[:count]] = True
    return _split_all(test)


def select_latest(times: pd.Series, fraction: float) -> Selection:
    """Select the last `fraction` of the rows, which are sorted by time; rows of the same time stay together.

    Raises:
        CannotSplitError: one of the parts would be empty.
    """
    cut = min(max(round(len(times) * (1 - fraction)), 1), len(times) - 1)
    test = np.asarray((times >= times.iloc[cut]).to_numpy())
    if test.all():
        raise CannotSplitError(
            f"too many rows of {times.name!r} share the time {times.iloc[cut]}, so no row is left to train on"
        )
    return _split_all(test)


def select_latest_of_periods(rows: SplitRows, fraction: float) -> Selection:
    """Select the last `fraction` of the rows before `recent_since`, and of those from then on.

    So a model is tested on what was usual before, and on what is usual now. Rows of the first period whose label only
    what happens in the second one tells are left out.

    Raises:
        CannotSplitError: a part of a period would be empty.
    """
    assert rows.times is not None
    assert rows.recent_since is not None
    is_recent = to_numbers(rows.times) >= rows.recent_since
    test, left_out = np.zeros(rows.rows, dtype=bool), np.zeros(rows.rows, dtype=bool)
    for period, name in ((~is_recent, "before the recent ones"), (is_recent, "that are recent")):
        if period.sum() < _MIN_ROWS_OF_PERIOD:
            raise CannotSplitError(f"there are only {period.sum():,} rows {name}, too few to train and to test on")
        of_period = rows.select(period)
        assert of_period.times is not None
        selection = leave_out_known_later(of_period, select_latest(of_period.times, fraction))
        test[period], left_out[period] = selection.test, selection.left_out
    if rows.known_at is not None:
        left_out |= ~is_recent & (rows.known_at.to_numpy() >= rows.recent_since)
    return Selection(test & ~left_out, left_out, rows.known_later)


def leave_out_known_later(rows: SplitRows, selection: Selection) -> Selection:
    """Leave out the training rows whose label follows from what happens in the test part, such as the same failure.

    Raises:
        CannotSplitError: no row is left to train on.
    """
    if rows.known_at is None:
        return selection
    assert rows.times is not None
    start = rows.times[selection.test].min()
    is_later = selection.train & (rows.known_at.to_numpy() >= to_numbers(pd.Series([start]))[0])
    if not (selection.train & ~is_later).any():
        raise CannotSplitError(
            f"no row is left to train on without {rows.known_later} (the test part begins at {start})"
        )
    return Selection(selection.test, selection.left_out | is_later, rows.known_later)


def select_groups(rows: SplitRows, fraction: float, seed: int) -> Selection:
    """Draw whole groups at random until they have about `fraction` of the rows.

    Of a number of draws the first is taken that puts every class into both parts and is near `fraction`, else the best.

    Raises:
        CannotSplitError: there is a single group.
    """
    codes, names = _encode_groups(rows)
    class_codes = np.zeros(rows.rows, np.int64) if rows.labels is None else _encode(rows.labels)[0]
    counts = np.zeros((len(names), int(class_codes.max()) + 1), np.int64)
    np.add.at(counts, (codes, class_codes), 1)
    rng = np.random.default_rng(seed)
    best: tuple[tuple[int, float], Int64s] | None = None
    for _ in range(_MAX_TRIES):
        order = rng.permutation(len(names))
        test_groups = order[: _count_groups(counts[order].sum(axis=1), fraction)]
        rank = _rank_draw(counts, test_groups, fraction, rows.rule)
        if best is None or rank < best[0]:
            best = rank, test_groups
        if best[0] <= (0, _GOOD_SHARE):
            break
    assert best is not None
    return _split_all(np.isin(codes, best[1]))


def select_latest_groups(rows: SplitRows, fraction: float, seed: int) -> Selection:
    """Select groups that training never has, and of them the rows that are later than every training row.

    The test groups are those that start last, drawn with the seed where they start together. The test part begins with
    the first of them if at least half of the other groups' rows lie before that, else with the last `fraction` of all
    rows. Rows of test groups before, and of other groups after that time are left out.

    Raises:
        CannotSplitError: there is a single group, or one of the parts would be empty.
    """
    assert rows.times is not None
    assert rows.groups is not None
    codes, names = _encode_groups(rows)
    times = rows.times.to_numpy()
    # rows are sorted by time: a group starts with its first row
    starts = times[np.unique(codes, return_index=True)[1]]
    drawn = np.random.default_rng(seed).permutation(len(names))
    order = drawn[np.argsort(starts[drawn], kind="stable")][::-1]
    test_groups = order[: _count_groups(np.bincount(codes)[order], fraction)]
    in_test_group = np.isin(codes, test_groups)
    cut = starts[test_groups].min()
    if (times[~in_test_group] < cut).mean() < _MIN_SHARE_BEFORE:
        cut = times[min(max(round(rows.rows * (1 - fraction)), 1), rows.rows - 1)]
    test, train = in_test_group & (times >= cut), ~in_test_group & (times < cut)
    for part, is_in_part in (("test", test), ("train", train)):
        if not is_in_part.any():
            raise CannotSplitError(
                f"groups of {rows.groups.name!r} that training never had, and later than it, leave no row to {part} on"
            )
    return Selection(test, ~(test | train))


def select_from(times: pd.Series, start: pd.Timestamp | float) -> Selection:
    """Select the rows from `start`, the beginning of the first failure window, on.

    Raises:
        CannotSplitError: no row lies before it.
    """
    test = np.asarray((times >= start).to_numpy())
    if test.all():
        raise CannotSplitError(
            f"no row lies before the first failure window ({start}); there is nothing normal to learn"
        )
    return _split_all(test)


def _split_all(test: Mask) -> Selection:
    return Selection(test, np.zeros(len(test), dtype=bool))


def _encode(labels: pd.Series, *, sort: bool = True) -> tuple[Int64s, list[ClassLabel]]:
    codes, classes = pd.factorize(labels, sort=sort)
    return codes, list(classes.tolist())


def _encode_groups(rows: SplitRows) -> tuple[Int64s, list[ClassLabel]]:
    assert rows.groups is not None
    codes, names = _encode(rows.groups)
    if len(names) < 2:
        raise CannotSplitError(
            f"{rows.groups.name!r} has the single group {names[0]!r}, and a split by group needs two"
        )
    return codes, names


def _count_groups(sizes: Int64s, fraction: float) -> int:
    """Return how many of the first groups, of these sizes, have most nearly `fraction` of the rows; not all of them."""
    shares = np.cumsum(sizes)[:-1] / sizes.sum()
    return int(np.argmin(np.abs(shares - fraction))) + 1


def _rank_draw(counts: Int64s, test_groups: Int64s, fraction: float, rule: TargetRule) -> tuple[int, float]:
    """Rank a draw, lower is better: the number of classes that a part lacks, and the error of the test part's share.

    Args:
        counts: Rows of each class in each group, shape [groups, classes].
        test_groups: Indices of the groups to test on.
        fraction: The share of the rows that is asked for.
        rule: The rule of the task says which classes training needs.
    """
    test = counts[test_groups].sum(axis=0)
    train = counts.sum(axis=0) - test
    lacking = int((test == 0).sum() + (rule.select_needed(train) == 0).sum())
    return lacking, abs(test.sum() / counts.sum() - fraction) / fraction

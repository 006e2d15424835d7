"""Warnings about what looks like a leak: features that give the label, the row, the group or the time away."""

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from kfp_edge.components.ingest.listing import list_names
from kfp_edge.ml.arrays import Float64s, Int64s, Labels, Mask
from kfp_edge.ml.dataset import Dataset

Hashes = npt.NDArray[np.uint64]

#: A single feature that ranks the classes better than this is suspicious.
_PERFECT_AUC = 0.999
#: Fewer rows of a class, or in all, rank well by chance.
_MIN_ROWS_OF_CLASS, _MIN_ROWS = 5, 30
#: Rows of each class that are looked at.
_SAMPLED_ROWS_OF_CLASS = 10_000
#: Share of duplicates among the held-out rows that is worth a warning.
_MIN_SHARE_OF_DUPLICATES = 0.05
#: Held-out rows that are looked up among the training rows.
_SAMPLED_HELD_OUT_ROWS = 20_000
#: Where the features have fewer combinations of values for each row, duplicates are to be expected.
_MIN_COMBINATIONS_PER_ROW = 10
#: Whole numbers are identifiers if they are all different and no more than this many times as many as there are rows.
_MAX_IDENTIFIERS_PER_ROW = 10
#: Columns that are looked at together.
_COLUMNS_AT_ONCE = 32
#: An odd factor spreads the hashes of columns over 64 bits.
_HASH_FACTOR = 0x9E3779B97F4A7C15
#: Two groups differ in any feature by chance.
_MIN_GROUPS = 3
_MAX_LISTED_EQUALS = 10


def find_perfect_features(data: Dataset, names: Sequence[str]) -> list[str]:
    """Return a warning that names the features of which each alone gives the class of nearly every row."""
    rows, classes = _sample_classes(data.y())
    if len(rows) < _MIN_ROWS or classes < 2:
        return []
    measure = _measure_rankings if classes == 2 else _measure_neighbours
    measured = measure(data.frame.iloc[rows], names, data.y()[rows])
    perfect = [name for name in names if measured[name] > _PERFECT_AUC]
    return _warn_of_telling(perfect, "gives the class of nearly every row", data.roles.target)


def find_ordering_features(data: Dataset, names: Sequence[str]) -> list[str]:
    """Return a warning that names the numeric features of which each alone orders nearly all rows as the target does.

    Their rank correlation with it (Spearman, 1904) is nearly 1 or -1, in the same 10,000 rows every time.
    """
    rows = np.unique(np.linspace(0, len(data.frame) - 1, _SAMPLED_ROWS_OF_CLASS).astype(np.int64))
    if len(rows) < _MIN_ROWS:
        return []
    target = data.frame[data.roles.target].iloc[rows].rank()
    numeric = [name for name in names if data.frame[name].dtype != object and not _is_constant(data.frame[name])]
    ordering = [
        name for name in numeric if abs(target.corr(data.frame[name].iloc[rows].rank(na_option="top"))) > _PERFECT_AUC
    ]
    return _warn_of_telling(ordering, "orders nearly all rows", data.roles.target)


def _warn_of_telling(names: Sequence[str], verb: str, target: str) -> list[str]:
    if not names:
        return []
    what = f"column {names[0]!r} alone" if len(names) == 1 else f"each of the columns {list_names(names)} alone"
    as_target = f" as {target!r} does" if verb.startswith("orders") else ""
    return [
        f"{what} {verb}{as_target}: if it is known only after the event, or derived from {target!r}, put it in drop"
    ]


def find_duplicates(train: Dataset, test: Dataset) -> list[str]:
    """Return a warning if many held-out rows equal a training row in every feature and the label."""
    names = [*train.roles.features, *([train.roles.target] if train.roles.target else [])]
    step = -(-len(test.frame) // _SAMPLED_HELD_OUT_ROWS)
    held_out = test.frame.iloc[::step]
    for columns in (names[:_COLUMNS_AT_ONCE], names):  # the first columns show most tables to have no duplicates
        share = _measure_duplicates(train.frame, held_out, columns)
        if share < _MIN_SHARE_OF_DUPLICATES:
            return []
    if not _has_enough_combinations(held_out[names], _MIN_COMBINATIONS_PER_ROW * len(train.frame)):
        return []
    return [
        f"{share:.0%} of the held-out rows equal a training row in every feature, so the metrics may be too good: "
        "remove the duplicates, or name what they have in common in group_column"
    ]


def find_constant_columns(train: Dataset, names: Sequence[str]) -> list[str]:
    """Return a warning that names the features with the same value in every training row."""
    constant = [name for name in names if _is_constant(train.frame[name])]
    if not constant:
        return []
    what = f"column {constant[0]!r} has" if len(constant) == 1 else f"the columns {list_names(constant)} have"
    return [f"{what} the same value in every training row, from which nothing can be learned"]


def find_equal_columns(train: Dataset, names: Sequence[str]) -> list[str]:
    """Return a warning that names the features that equal another one in every training row."""
    firsts: dict[bytes, str] = {}
    equal = []
    for name in names:
        column = train.frame[name]
        head = hashlib.sha256(pd.util.hash_array(column.to_numpy()).tobytes()).digest()
        if head in firsts and not _is_constant(column):
            equal.append(f"{name!r} ({firsts[head]!r})")
        firsts.setdefault(head, name)
    if not equal:
        return []
    more = f" and {len(equal) - _MAX_LISTED_EQUALS:,} more" if len(equal) > _MAX_LISTED_EQUALS else ""
    what = "a column equals" if len(equal) == 1 else f"{len(equal):,} columns equal"
    return [
        f"{what} another one, in brackets, in every row, which adds nothing: "
        f"{', '.join(equal[:_MAX_LISTED_EQUALS])}{more}; put it in drop"
    ]


def find_row_counters(frame: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Return the numeric columns that number the rows: rising or falling with every row, or all different and dense."""
    if len(frame) < _MIN_ROWS:
        return []
    return [name for name in names if _is_row_counter(frame[name].to_numpy())]


def warn_of_row_counters(names: Sequence[str]) -> list[str]:
    """Return a warning that names the columns that number the rows."""
    if not names:
        return []
    what = f"column {names[0]!r} numbers" if len(names) == 1 else f"the columns {list_names(names)} number"
    return [
        f"{what} the rows, as a counter, an identifier or a clock does, which shows a model when failures were and not "
        "why; put it in drop"
    ]


def find_group_copies(train: Dataset, names: Sequence[str]) -> list[str]:
    """Return a warning that names the features that have a value of their own for each group."""
    group = train.roles.group
    if not group:
        return []
    codes, groups = pd.factorize(train.frame[group])
    if len(groups) < _MIN_GROUPS:
        return []
    first_rows = np.unique(codes, return_index=True)[1]
    copies = [name for name in names if _is_group_copy(train.frame[name], codes, first_rows)]
    if not copies:
        return []
    what = f"column {copies[0]!r} has" if len(copies) == 1 else f"each of the columns {list_names(copies)} has"
    return [
        f"{what} a value of its own for each {group!r}, so that a model can learn the groups by heart; put it in drop"
    ]


def _sample_classes(labels: Labels) -> tuple[Int64s, int]:
    """Return the indices, in order, of at most 10,000 rows of each class with enough rows, and the number of classes.

    They are the same rows every time.
    """
    rng = np.random.default_rng(0)
    codes, classes = pd.factorize(labels)
    members = [np.flatnonzero(codes == code) for code in range(len(classes))]
    members = [rows for rows in members if len(rows) >= _MIN_ROWS_OF_CLASS]
    sampled = [
        rows if len(rows) <= _SAMPLED_ROWS_OF_CLASS else rng.choice(rows, _SAMPLED_ROWS_OF_CLASS, replace=False)
        for rows in members
    ]
    return np.sort(np.concatenate([np.zeros(0, np.int64), *sampled])), len(sampled)


def _measure_rankings(frame: pd.DataFrame, names: Sequence[str], labels: Labels) -> dict[str, float]:
    """Return the area under the ROC curve of each column, the better of both directions; missing values rank lowest."""
    is_second = labels == labels.max()
    numeric = [name for name in names if frame[name].dtype != object]
    areas: dict[str, float] = {}
    for start in range(0, len(numeric), _COLUMNS_AT_ONCE):
        block = numeric[start : start + _COLUMNS_AT_ONCE]
        areas |= zip(block, _compute_areas(frame[block], is_second), strict=True)
    learned, measured = slice(0, None, 2), slice(1, None, 2)
    for name in (name for name in names if name not in areas):
        # the share of a class in each category, learned from every other row, ranks the remaining rows
        column = frame[name].fillna("")
        shares = pd.Series(is_second[learned]).groupby(column.iloc[learned].to_numpy()).mean()
        ranking = column.iloc[measured].map(shares).fillna(0.5).to_frame()
        areas |= zip([name], _compute_areas(ranking, is_second[measured]), strict=True)
    return areas


def _compute_areas(frame: pd.DataFrame, is_second: Mask) -> list[float]:
    """Return the area under the ROC curve of each column, by the sum of ranks (Mann and Whitney, 1947)."""
    second, first = int(is_second.sum()), int((~is_second).sum())
    if not first or not second:
        return [0.5] * frame.shape[1]
    ranks = frame.rank(na_option="top").to_numpy()
    areas = (ranks[is_second].sum(axis=0) - second * (second + 1) / 2) / (first * second)
    areas = np.maximum(areas, 1 - areas)
    return list(areas.tolist())


def _measure_neighbours(frame: pd.DataFrame, names: Sequence[str], labels: Labels) -> dict[str, float]:
    """Return for each column the mean recall of the class that the next lower value has in every other row."""
    codes, classes = pd.factorize(labels)
    learned, measured = slice(0, None, 2), slice(1, None, 2)
    rows_of_class = np.bincount(codes[measured], minlength=len(classes))
    recalls = {}
    for name in names:
        column = frame[name]
        values = pd.factorize(column)[0] if column.dtype == object else column.fillna(-np.inf).to_numpy()
        order = np.argsort(values[learned], kind="stable")
        next_lower = np.searchsorted(values[learned][order], values[measured], side="right") - 1
        is_right = codes[learned][order][next_lower.clip(0)] == codes[measured]
        right = np.bincount(codes[measured], weights=is_right, minlength=len(classes))
        recalls[name] = float((right / rows_of_class.clip(1)).mean())
    return recalls


def _has_enough_combinations(frame: pd.DataFrame, needed: float) -> bool:
    combinations = 1.0
    for name in frame:
        combinations *= max(frame[name].nunique(), 1)
        if combinations >= needed:
            return True
    return False


def _measure_duplicates(train: pd.DataFrame, held_out: pd.DataFrame, names: Sequence[str]) -> float:
    """Return the share of the held-out rows that equal a training row in all these columns."""
    searched, known = _hash_rows(held_out, names), _hash_rows(train, names)
    # the hash table is that of the fewer rows
    duplicates = known[pd.Series(known).isin(searched).to_numpy()]
    return float(pd.Series(searched).isin(duplicates).mean())


def _hash_rows(frame: pd.DataFrame, names: Sequence[str]) -> Hashes:
    hashes = np.zeros(len(frame), dtype=np.uint64)
    for name in names:
        hashes = hashes * np.uint64(_HASH_FACTOR) + pd.util.hash_array(frame[name].to_numpy())
    return hashes


def _is_constant(column: pd.Series) -> bool:
    if column.dtype == object:
        return bool(column.nunique(dropna=False) == 1)
    values = column.to_numpy()
    return bool((values[:_MIN_ROWS] == values[0]).all() and (values == values[0]).all())


def _is_row_counter(values: Float64s) -> bool:
    steps = np.diff(values[:_MIN_ROWS])
    is_monotonic = bool((steps > 0).all() or (steps < 0).all())
    if is_monotonic:
        steps = np.diff(values)
        is_monotonic = bool((steps > 0).all() or (steps < 0).all())
    return is_monotonic or _are_identifiers(values)


def _are_identifiers(values: Float64s) -> bool:
    head = values[:1000]
    if not (head == np.floor(head)).all() or len(np.unique(head)) < len(head):
        return False
    is_dense = values.max() - values.min() <= _MAX_IDENTIFIERS_PER_ROW * len(values)
    return bool(is_dense and (values == np.floor(values)).all() and len(np.unique(values)) == len(values))


def _is_group_copy(column: pd.Series, codes: Int64s, first_rows: Int64s) -> bool:
    """Return whether a column has one value in each group, and no two groups have the same."""
    values = column.to_numpy() if column.dtype != object else pd.factorize(column, use_na_sentinel=False)[0]
    firsts = values[first_rows]
    is_same: Mask = values == firsts[codes]
    return bool(is_same.all() and len(np.unique(firsts)) == len(firsts))

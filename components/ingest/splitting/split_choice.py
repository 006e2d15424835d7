"""Choose how rows are split, check that both parts can be used, and advise what would help where they cannot."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from kfp_edge.components.ingest.listing import list_names
from kfp_edge.components.ingest.splitting.split import (
    CannotSplitError,
    Selection,
    SplitRows,
    leave_out_known_later,
    select_from,
    select_groups,
    select_latest,
    select_latest_groups,
    select_latest_of_periods,
    select_stratified,
)
from kfp_edge.errors import DataError
from kfp_edge.ml.arrays import ClassLabel
from kfp_edge.ml.time_numbers import to_time

#: Groups follow each other in time if no larger share of the rows is left out by a split by group and time.
_MAX_SHARE_LEFT_OUT = 0.05
_BY_GROUP_AND_TIME = "group-and-time"
#: Training needs this many rows of a class: scikit-learn holds out some of them itself.
_MIN_TRAINING_ROWS = 2
#: Fractions that advice tries.
_OTHER_FRACTIONS = (0.3, 0.4, 0.5, 0.1)


@dataclass(frozen=True)
class SplitRequest:
    """What is asked for."""

    method: str
    fraction: float
    seed: int
    #: Whether neighbouring rows have something in common, such as their rolling windows or the failure that follows.
    refuses_random: bool = False


@dataclass(frozen=True)
class ChosenSplit:
    """How the rows are split, and why so."""

    method: str
    reason: str
    selection: Selection
    warnings: tuple[str, ...] = ()


def split_at_window(rows: SplitRows, start: pd.Timestamp | float) -> ChosenSplit:
    """Test on the rows from the first failure window on.

    Raises:
        DataError: a part would be of no use.
    """
    assert rows.times is not None
    try:
        selection = leave_out_known_later(rows, select_from(rows.times, start))
    except CannotSplitError as error:
        raise DataError(f"{error}.") from error
    problem = _find_problem(rows, selection)
    if problem:
        raise DataError(f"{problem}; give data or failure windows that leave normal rows on both sides of {start}.")
    return ChosenSplit("time", f"training ends before the first failure window ({start})", selection)


def choose_split(rows: SplitRows, request: SplitRequest, *, groups_are_files: bool = False) -> ChosenSplit:
    """Split the rows as asked, or with `auto` in the way that leaks least.

    Args:
        rows: The rows that can be used.
        request: What is asked for.
        groups_are_files: Whether groups are the files of a folder, which nobody named as groups: where they give no
            usable parts, the rows are split at random, with a warning.

    Raises:
        DataError: nothing could be learned or measured then; the message advises what would help, as far as it was
            tried.
    """
    candidates = [(request.method, "it was asked for")] if request.method != "auto" else _list_candidates(rows, request)
    if rows.recent_since is not None:  # the latest groups are of the recent period alone
        candidates = [each for each in candidates if each[0] != _BY_GROUP_AND_TIME] or [
            ("time", "there is a time column")
        ]
    problems: dict[str, str] = {}
    for method, reason in candidates:
        selection, problem = _try(rows, method, request.fraction, request.seed)
        if selection is not None and not problem:
            periods = f", both before {_format_recent(rows)} and since then" if _has_periods(rows, method) else ""
            reasons = [
                f"{reason}{periods}",
                *(f"split={other} would be of no use: {why}" for other, why in problems.items()),
            ]
            return ChosenSplit(method, "; ".join(reasons), selection, _warn_of_overlap(rows, method))
        problems[method] = problem
    first_method, first_problem = next(iter(problems.items()))
    if groups_are_files and request.method == "auto" and rows.times is None:
        selection, problem = _try(rows, "random", request.fraction, request.seed)
        if selection is not None and not problem:
            reason = f"a split by file would be of no use: {first_problem}"
            return ChosenSplit("random", reason, selection, _warn_of_overlap(rows, "random"))
    raise DataError(f"{first_problem}; {_advise(rows, first_method, request)}.")


def _has_periods(rows: SplitRows, method: str) -> bool:
    return method == "time" and rows.recent_since is not None


def _format_recent(rows: SplitRows) -> str:
    assert rows.times is not None
    assert rows.recent_since is not None
    return str(to_time(rows.recent_since, is_number=not pd.api.types.is_datetime64_dtype(rows.times)))


def _list_candidates(rows: SplitRows, request: SplitRequest) -> list[tuple[str, str]]:
    """Return the methods that suit the columns, the best first, each with the reason."""
    if rows.times is None and rows.groups is None:
        return [("random", "no time_column or group_column is given")]
    if rows.groups is None:
        return [("time", "there is a time column")]
    if rows.times is None:
        return [("group", f"there is a group column, {str(rows.groups.name)!r}")]
    return _list_whole_groups(rows, request) if rows.needs_groups else _list_by_time_and_group(rows, request)


def _list_whole_groups(rows: SplitRows, request: SplitRequest) -> list[tuple[str, str]]:
    """Return the methods that hold out whole groups."""
    whole_groups = ("group", rows.needs_groups)
    # cycles begin with the first one in all groups, so that they are no calendar
    if rows.times is None or not pd.api.types.is_datetime64_dtype(rows.times):
        return [whole_groups]
    try:
        share = _find_share_left_out(rows, request)
    except CannotSplitError:
        return [whole_groups]
    in_sequence = [(_BY_GROUP_AND_TIME, _describe_sequence(rows))] if share <= _MAX_SHARE_LEFT_OUT else []
    return [*in_sequence, whole_groups]


def _list_by_time_and_group(rows: SplitRows, request: SplitRequest) -> list[tuple[str, str]]:
    group = str(rows.groups.name) if rows.groups is not None else ""
    # failures of a fleet may all lie before the last rows
    others = [("group", f"whole groups of {group!r} are held out")] if rows.known_at is not None else []
    try:
        share = _find_share_left_out(rows, request)
    except CannotSplitError as error:
        return [("time", f"there is a time column, and {error}")]
    if share <= _MAX_SHARE_LEFT_OUT:
        return [(_BY_GROUP_AND_TIME, _describe_sequence(rows)), ("time", "there is a time column"), *others]
    return [
        ("time", f"groups of {group!r} run at the same time, so the last rows of all of them are held out"),
        *others,
    ]


def _find_share_left_out(rows: SplitRows, request: SplitRequest) -> float:
    """Return the share of rows in neither part of a split by group and time; little where groups follow each other.

    Raises:
        CannotSplitError: there is a single group, or a part would be empty.
    """
    return float(select_latest_groups(rows, request.fraction, request.seed).left_out.mean())


def _describe_sequence(rows: SplitRows) -> str:
    assert rows.groups is not None
    return f"groups of {str(rows.groups.name)!r} follow each other in time"


def _try(rows: SplitRows, method: str, fraction: float, seed: int) -> tuple[Selection | None, str]:
    """Return the selection of a method, and why its parts are of no use, "" where they are."""
    try:
        selection = _select(rows, method, fraction, seed)
    except CannotSplitError as error:
        return None, str(error)
    return selection, _find_problem(rows, selection)


def _select(rows: SplitRows, method: str, fraction: float, seed: int) -> Selection:
    if method == "time":
        assert rows.times is not None
        if _has_periods(rows, method):
            return select_latest_of_periods(rows, fraction)
        return leave_out_known_later(rows, select_latest(rows.times, fraction))
    if method == "group":
        return select_groups(rows, fraction, seed)
    if method == "group-and-time":
        return select_latest_groups(rows, fraction, seed)
    return select_stratified(rows.labels, rows.rows, fraction, seed)


def _find_problem(rows: SplitRows, selection: Selection) -> str:
    """Return why nothing could be learned or measured with these parts, or ""."""
    if rows.labels is None:
        return ""
    train, test = _count_classes(rows.labels[selection.train]), _count_classes(rows.labels[selection.test])
    lacking = rows.rule.find_lacking_class(str(rows.labels.name), train, test)
    if lacking is not None:
        return lacking.problem + ("" if lacking.label is None else _locate(rows, selection, lacking.label))
    if len(test) < 2:
        only = next(iter(test))
        missing = next((name for name in sorted(rows.labels.unique().tolist()) if name != only), None)
        where = "" if missing is None else _locate(rows, selection, missing)
        return f"every test row has the label {only!r}, so nothing can be measured{where}"
    return ""


def _count_classes(labels: pd.Series) -> dict[ClassLabel, int]:
    """Return the number of rows of each class, in the order of the classes."""
    counts = labels.value_counts().sort_index()
    return dict(zip(counts.index.tolist(), counts.tolist(), strict=True))


def _locate(rows: SplitRows, selection: Selection, label: ClassLabel) -> str:
    """Return where the rows of a class are, as the end of a sentence, where that explains why a part has none."""
    assert rows.labels is not None
    is_label = (rows.labels == label).to_numpy()
    count = int(is_label.sum())
    what = f"the only row of class {label!r} is" if count == 1 else f"all {count:,} rows of class {label!r} are"
    if rows.groups is not None:
        names = rows.groups[is_label].unique().tolist()
        is_group = (rows.groups == names[0]).to_numpy()
        if len(names) == 1 and not ((is_group & selection.test).any() and (is_group & selection.train).any()):
            return f": {what} of {rows.groups.name} {names[0]!r}, which cannot be in both parts"
    if rows.times is not None:
        times, first_test = rows.times[is_label], rows.times[selection.test].min()
        if times.max() < first_test:
            return f": the last row of class {label!r} is at {times.max()}, and the test part begins at {first_test}"
    return ""


def _advise(rows: SplitRows, method: str, request: SplitRequest) -> str:
    """Return what would help: only what was tried with success, else other data."""
    fractions = [
        fraction
        for fraction in _OTHER_FRACTIONS
        if method != "random" and fraction != request.fraction and not _is_useless(rows, method, fraction, request)
    ]
    advice = [f"test_fraction={fraction:g}" for fraction in fractions[:1]]
    caveats = _describe_alternatives(rows, request)
    others = [other for other in caveats if other != method and not _is_useless(rows, other, request.fraction, request)]
    advice += [f"split={other}{caveats[other]}" for other in others[:1]]
    rare = _find_rare_classes(rows)
    if rare and not _is_useless(_leave_out(rows, rare), method, request.fraction, request):
        return (
            f"leave the labels of class {list_names(rare)} empty, so that these rows are left out, or give more of them"
        )
    others_help = f"use {', or '.join(advice)}, or " if advice else ""
    return f"{others_help}give data with more rows of each class{_name_places(rows)}"


def _is_useless(rows: SplitRows, method: str, fraction: float, request: SplitRequest) -> bool:
    selection, problem = _try(rows, method, fraction, request.seed)
    return selection is None or bool(problem)


def _find_rare_classes(rows: SplitRows) -> list[ClassLabel]:
    """Return the classes with too few rows to be in both parts, where two others are left."""
    if rows.labels is None:
        return []
    counts = _count_classes(rows.labels)
    rare = [name for name, count in counts.items() if count <= _MIN_TRAINING_ROWS]
    return rare if len(counts) - len(rare) >= 2 else []


def _leave_out(rows: SplitRows, classes: list[ClassLabel]) -> SplitRows:
    assert rows.labels is not None
    return rows.select((~rows.labels.isin(classes)).to_numpy())


def _describe_alternatives(rows: SplitRows, request: SplitRequest) -> Mapping[str, str]:
    """Return the methods that the columns allow, the strictest first, each with what to know about it."""
    alternatives = {}
    if rows.groups is not None:
        alternatives["group"] = ""
    if rows.times is not None and not rows.needs_groups:
        alternatives["time"] = ""
    if not request.refuses_random:
        alternatives["random"] = f", knowing that {_describe_overlap(rows)}"
    return alternatives


def _describe_overlap(rows: SplitRows) -> str:
    """Return what rows of both parts share after a random split."""
    if rows.known_at is not None:
        return "rows of the same failure window are in both parts, so that metrics may be too good"
    if rows.groups is not None:
        return f"rows of the same {rows.groups.name!r} are in both parts, so that metrics may be too good"
    if rows.times is not None:
        return "rows that are neighbours in time are in both parts, so that metrics may be too good"
    return "similar rows may be in both parts"


def _warn_of_overlap(rows: SplitRows, method: str) -> tuple[str, ...]:
    if method != "random" or (rows.groups is None and rows.times is None):
        return ()
    return (f"the split is random: {_describe_overlap(rows)}",)


def _name_places(rows: SplitRows) -> str:
    if rows.groups is not None:
        return f" from more groups of {rows.groups.name!r}"
    return " over a longer time" if rows.times is not None else ""

"""Make the training and the test part of rows whose columns have their roles."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from kfp_edge.components.ingest.labelling.machine_names import find_similar_groups
from kfp_edge.components.ingest.labelling.made_labels import LabelSource, MadeLabels
from kfp_edge.components.ingest.options import IngestOptions
from kfp_edge.components.ingest.reading.unread_files import UnreadFile
from kfp_edge.components.ingest.rolling_features import add_rolling_features, find_lost_classes, leave_out_warm_up
from kfp_edge.components.ingest.splitting import leaks
from kfp_edge.components.ingest.splitting.file_groups import add_file_groups
from kfp_edge.components.ingest.splitting.left_out import LeftOutRows
from kfp_edge.components.ingest.splitting.new_categories import find_new_categories
from kfp_edge.components.ingest.splitting.split import SplitRows
from kfp_edge.components.ingest.splitting.split_choice import (
    ChosenSplit,
    SplitRequest,
    choose_split,
    split_at_window,
)
from kfp_edge.components.ingest.splitting.time_order import find_shared_times, sort_by_time
from kfp_edge.components.ingest.splitting.time_range import leave_out_of_range
from kfp_edge.components.ingest.targets.rules import rule_of
from kfp_edge.components.ingest.targets.target_rule import TargetRule
from kfp_edge.errors import DataError, ParameterError
from kfp_edge.ml.arrays import Mask
from kfp_edge.ml.dataset import Dataset, Preparation, Roles
from kfp_edge.ml.memory import return_freed_memory
from kfp_edge.ml.rolling_windows import RollingWindows

Indices = npt.NDArray[np.intp]

#: Columns that made labels add: how long it is until the failure, and when the label of a row is known.
_UNTIL_FAILURE, _KNOWN_AT = "time until failure", "time at which the label is known"


@dataclass(frozen=True)
class TrainTestSplit:
    """The rows to train and to test on, with the same columns and roles."""

    train: Dataset
    test: Dataset


@dataclass(frozen=True)
class RowsWithRoles:
    """The rows of the source, in its order."""

    frame: pd.DataFrame
    roles: Roles
    sha256: str
    #: The rows without a label; any label stands in its place.
    has_no_label: Mask
    #: The file of each row where the source is a folder of several files.
    file_names: pd.Series | None = None
    #: Files of the folder of which no row was read, since all are before the time range.
    unread: tuple[UnreadFile, ...] = ()
    #: What a reviewer should know about the source, each in one sentence.
    warnings: tuple[str, ...] = ()
    #: Whether the zone of the time column was known, so that its times are in UTC.
    has_utc_times: bool = False
    #: Which class of the source is anomalous, and why, where its labels became 0 and 1.
    anomalous_class: str = ""


@dataclass
class _Rows:
    """The rows on their way into the two parts; nothing else holds a frame, so that each step frees the one before."""

    frame: pd.DataFrame
    roles: Roles
    left_out: LeftOutRows
    positive_reason: str
    #: What the task requires of its target.
    rule: TargetRule
    files_are_groups: bool = False
    made_labels: MadeLabels | None = None
    #: Numeric columns that number the rows.
    row_counters: list[str] = field(default_factory=list)
    has_unique_times: bool = True
    rolling_windows: RollingWindows | None = None
    #: Since when rows are recent, as `to_numbers` gives it; None where all rows count alike.
    recent_since: float | None = None
    warnings: list[str] = field(default_factory=list)


def prepare(rows: RowsWithRoles, options: IngestOptions, label_source: LabelSource | None) -> TrainTestSplit:
    """Label, order, extend and split the rows.

    Raises:
        ParameterError: a parameter does not fit the data.
        DataError: nothing could be learned or measured.
    """
    sha256, source_warnings, has_utc_times = rows.sha256, rows.warnings, rows.has_utc_times
    unread_rows = sum(file.rows for file in rows.unread)
    started = _start(rows, options)
    del rows  # it holds the frame of the source
    had_labels = bool(started.roles.target)
    if label_source:
        _label(started, label_source)
    measured = started.roles.features
    _order(started)
    started.recent_since = leave_out_of_range(
        started.frame,
        started.roles,
        options.time_range,
        options.table_format.time_zone,
        started.left_out,
        unread_rows,
        started.warnings,
    )
    _extend(started, options)
    usable = np.flatnonzero(~started.left_out.mask)
    if started.roles.target:
        _choose_positive(started, usable, options)
    chosen = _split(started, usable, options)
    parts = _take_parts(started, chosen, usable, sha256)
    _check_features(parts.train)
    warnings = [*started.warnings, *chosen.warnings, *leaks.warn_of_row_counters(started.row_counters)]
    # those about single columns are last: there can be many, and of many only the first ones are printed
    warnings += [*_find_warnings(parts, measured, started.rule), *source_warnings]
    preparation = Preparation(
        chosen.method,
        chosen.reason,
        started.left_out.count(),
        tuple(warnings),
        window_rows=max(options.rolling_windows, default=1),
        has_utc_times=has_utc_times,
        positive_reason=started.positive_reason,
        target_median=started.rule.find_target_median(parts.train),
        rolling_windows=started.rolling_windows,
        made_labels=started.made_labels.description if started.made_labels and not had_labels else "",
        horizon=started.made_labels.horizon if started.made_labels else 0.0,
        target_low=started.made_labels.low if started.made_labels and not had_labels else None,
        target_high=started.made_labels.high if started.made_labels and not had_labels else None,
        recent_since=started.recent_since,
    )
    return TrainTestSplit(*(dataclasses.replace(part, preparation=preparation) for part in (parts.train, parts.test)))


def _start(rows: RowsWithRoles, options: IngestOptions) -> _Rows:
    """Return the rows with the files as groups where there are no others."""
    frame, roles = rows.frame, rows.roles
    files_are_groups = False
    if rows.file_names is not None and not roles.group:
        frame, roles = add_file_groups(frame, roles, rows.file_names, rows.unread)
        files_are_groups = bool(roles.group)
    _check_split_columns(roles, options.split)
    left_out = LeftOutRows(len(frame))
    left_out.add(rows.has_no_label, "rows without a label")
    warnings = find_similar_groups(frame[roles.group]) if roles.group and not files_are_groups else []
    rule = rule_of(roles.task)
    return _Rows(frame, roles, left_out, rows.anomalous_class, rule, files_are_groups, warnings=warnings)


def _label(rows: _Rows, label_source: LabelSource) -> None:
    """Add the labels that are made, where the data has none of its own, and what goes with them."""
    rows.made_labels = made = label_source.label(rows.frame, rows.roles)
    rows.warnings += made.warnings
    if rows.roles.target:
        return
    columns = {made.target: made.values, _KNOWN_AT: made.known_at}
    if made.until_failure is not None:
        columns[_UNTIL_FAILURE] = made.until_failure
    for name in columns:
        if name in rows.frame:
            raise DataError(f"the data already has a column {name!r}; name it in target, or rename it.")
    rows.frame = rows.frame.assign(**columns)
    until_failure = _UNTIL_FAILURE if made.until_failure is not None else ""
    rows.roles = dataclasses.replace(rows.roles, target=made.target, until_failure=until_failure)
    for reason, mask in made.left_out.items():
        rows.left_out.add(mask, reason)


def _order(rows: _Rows) -> None:
    """Order the rows by time, and find the columns that number them before or after that."""
    rows.row_counters += leaks.find_row_counters(rows.frame, rows.roles.numeric)
    if not rows.roles.time:
        return
    rows.frame = sort_by_time(rows.frame, rows.roles.time, rows.left_out)
    others = [name for name in rows.roles.numeric if name not in rows.row_counters]
    rows.row_counters += leaks.find_row_counters(rows.frame, others)
    shared_times = find_shared_times(rows.frame, rows.roles)
    rows.warnings += shared_times
    rows.has_unique_times = not shared_times


def _extend(rows: _Rows, options: IngestOptions) -> None:
    """Add the rolling features, and round the numbers to float32, as the model gets them at the edge."""
    if options.rolling_windows:
        widths = tuple(dict.fromkeys(options.rolling_windows))
        rows.rolling_windows = RollingWindows(rows.roles.numeric, widths, rows.has_unique_times)
        rows.frame, rows.roles = add_rolling_features(rows.frame, rows.roles, rows.rolling_windows)
        leave_out_warm_up(rows.frame, rows.roles, options.rolling_windows, rows.left_out)
        strata = rows.rule.find_strata(rows.frame[rows.roles.target] if rows.roles.target else None)
        rows.warnings += find_lost_classes(strata, options.rolling_windows, rows.left_out)
    rows.frame = rows.frame.astype(dict.fromkeys(rows.roles.numeric, np.float32))


def _choose_positive(rows: _Rows, usable: Indices, options: IngestOptions) -> None:
    labels = rows.frame[rows.roles.target].iloc[usable]
    made = rows.made_labels
    asked = "1" if made and made.has_positive else options.positive
    rows.roles = dataclasses.replace(rows.roles, positive=rows.rule.choose_positive(labels, asked))
    made_reason = made.description.removeprefix("1 where ") if made and made.has_positive else ""
    rows.positive_reason = rows.positive_reason or made_reason or rows.rule.explain_positive(labels, options.positive)
    rows.warnings += rows.rule.warn_of_values(labels)


def _take_parts(rows: _Rows, chosen: ChosenSplit, usable: Indices, sha256: str) -> TrainTestSplit:
    """Return the two parts; the frame of all rows is freed."""
    frame, left_out = rows.frame, rows.left_out
    if _KNOWN_AT in frame:
        del frame[_KNOWN_AT]
    rows.frame = pd.DataFrame()
    left_out.add(_expand(chosen.selection.left_out, usable, len(frame)), chosen.selection.reason)
    is_test = _expand(chosen.selection.test, usable, len(frame))
    masks = ~(is_test | left_out.mask), is_test
    parts = TrainTestSplit(
        *(
            Dataset(frame.loc[mask, list(rows.roles.columns)].reset_index(drop=True), rows.roles, sha256)
            for mask in masks
        )
    )
    del frame
    return_freed_memory()
    return parts


def _check_split_columns(roles: Roles, split: str) -> None:
    if split in ("group", "group-and-time") and not roles.group:
        raise ParameterError(
            f"split={split} needs the column of groups, or a folder of several files; name it in group_column."
        )


def _split(rows: _Rows, usable: Indices, options: IngestOptions) -> ChosenSplit:
    made = rows.made_labels
    labels, times, groups, known_at = (
        rows.frame[name].iloc[usable].reset_index(drop=True) if name and name in rows.frame else None
        for name in (rows.roles.target, rows.roles.time, rows.roles.group, _KNOWN_AT)
    )
    split_rows = SplitRows(len(usable), rows.rule, rows.rule.find_strata(labels), times, groups, known_at)
    split_rows = dataclasses.replace(split_rows, recent_since=rows.recent_since)
    if made:
        split_rows = dataclasses.replace(split_rows, known_later=made.known_later, needs_groups=made.needs_groups)
    if made and made.training_end is not None and rows.rule.is_split_at_windows:
        return split_at_window(split_rows, made.training_end)
    refuses_random = bool(options.rolling_windows or options.labels.source)
    request = SplitRequest(options.split, options.test_fraction, options.seed, refuses_random)
    return choose_split(split_rows, request, groups_are_files=rows.files_are_groups)


def _expand(mask: Mask, usable: Indices, rows: int) -> Mask:
    """Return a mask of all rows for one of the usable rows."""
    expanded = np.zeros(rows, dtype=bool)
    expanded[usable[mask]] = True
    return expanded


def _check_features(train: Dataset) -> None:
    empty = [name for name in train.roles.features if train.frame[name].isna().all()]
    if empty:
        raise DataError(f"column {empty[0]!r} is empty in every training row; put it in drop.")


def _find_warnings(parts: TrainTestSplit, features: Sequence[str], rule: TargetRule) -> list[str]:
    """Return the warnings about both parts; `features` are those of the source, without rolling ones."""
    train, test = parts.train, parts.test
    has_target = bool(train.roles.target)
    warnings = rule.warn_of_telling_features(train, features) if has_target else []
    warnings += leaks.find_duplicates(train, test)
    warnings += leaks.find_group_copies(train, features)
    warnings += leaks.find_constant_columns(train, features)
    warnings += leaks.find_equal_columns(train, features)
    warnings += find_new_categories(train, test)
    if has_target:
        warnings += rule.warn_of_parts(train, test)
    return warnings

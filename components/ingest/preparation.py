"""Make the training and the test part of rows whose columns have their roles."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from kfp_edge.components.ingest import failure_windows
from kfp_edge.components.ingest.columns.labels import (
    choose_positive_class,
    explain_positive_class,
    find_rare_classes,
    find_similar_spellings,
)
from kfp_edge.components.ingest.failure_windows import FailureWindows, WindowLabels
from kfp_edge.components.ingest.options import IngestOptions
from kfp_edge.components.ingest.rolling_features import add_rolling_features, find_lost_classes, leave_out_warm_up
from kfp_edge.components.ingest.splitting import leaks
from kfp_edge.components.ingest.splitting.file_groups import add_file_groups
from kfp_edge.components.ingest.splitting.left_out import LeftOutRows
from kfp_edge.components.ingest.splitting.new_categories import find_new_categories
from kfp_edge.components.ingest.splitting.split import SplitRows
from kfp_edge.components.ingest.splitting.split_choice import (
    IN_NEITHER_PART,
    ChosenSplit,
    SplitRequest,
    choose_split,
    split_at_window,
)
from kfp_edge.components.ingest.splitting.time_order import find_shared_times, sort_by_time
from kfp_edge.errors import DataError, ParameterError
from kfp_edge.ml.arrays import Mask
from kfp_edge.ml.dataset import Dataset, Preparation, Roles
from kfp_edge.ml.memory import return_freed_memory

Indices = npt.NDArray[np.intp]


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
    #: What a reviewer should know about the source, each in one sentence.
    warnings: tuple[str, ...] = ()
    #: Whether the zone of the time column was known, so that its times are in UTC.
    has_utc_times: bool = False
    #: Which class of the source is anomalous, and why, where its labels became 0 and 1.
    anomalous_class: str = ""


def prepare(rows: RowsWithRoles, options: IngestOptions, windows: FailureWindows | None) -> TrainTestSplit:
    """Label, order, extend and split the rows.

    Raises:
        ParameterError: a parameter does not fit the data.
        DataError: nothing could be learned or measured.
    """
    frame, roles, sha256, source_warnings = rows.frame, rows.roles, rows.sha256, rows.warnings
    files_are_groups, has_utc_times, positive_reason = False, rows.has_utc_times, rows.anomalous_class
    if rows.file_names is not None and not roles.group:
        frame, roles = add_file_groups(frame, roles, rows.file_names)
        files_are_groups = bool(roles.group)
    _check_split_columns(roles, options.split)
    left_out = LeftOutRows(len(frame))
    left_out.add(rows.has_no_label, "rows without a label")
    del rows  # each of the following steps frees the frame of the one before
    window_labels: WindowLabels | None = None
    if windows:
        window_labels = _find_window_labels(frame, roles, windows)
        frame, roles = _add_labels(frame, roles, window_labels)
    measured = roles.features
    row_counters = leaks.find_row_counters(frame, roles.numeric)
    data_warnings = list(window_labels.warnings) if window_labels else []
    if roles.time:
        frame = sort_by_time(frame, roles.time, left_out)
        row_counters += leaks.find_row_counters(frame, [name for name in roles.numeric if name not in row_counters])
        data_warnings += find_shared_times(frame, roles)
    if options.rolling_windows:
        frame, roles = add_rolling_features(frame, roles, options.rolling_windows)
        leave_out_warm_up(frame, roles, options.rolling_windows, left_out)
        data_warnings += find_lost_classes(frame, roles, options.rolling_windows, left_out)
    frame = frame.astype(dict.fromkeys(roles.numeric, np.float32))
    usable = np.flatnonzero(~left_out.mask)
    if roles.target:
        labels = frame[roles.target].iloc[usable]
        roles = dataclasses.replace(roles, positive=choose_positive_class(labels, options.positive, roles.task))
        if roles.task == "classification":
            positive_reason = explain_positive_class(labels, options.positive)
        data_warnings += find_similar_spellings(labels)
    chosen = _split(frame, usable, roles, options, window_labels, files_are_groups)
    left_out.add(_expand(chosen.selection.left_out, usable, len(frame)), IN_NEITHER_PART)
    is_test = _expand(chosen.selection.test, usable, len(frame))
    parts = TrainTestSplit(
        *(Dataset(frame[mask].reset_index(drop=True), roles, sha256) for mask in (~(is_test | left_out.mask), is_test))
    )
    del frame
    return_freed_memory()
    _check_features(parts.train)
    warnings = [*data_warnings, *chosen.warnings, *leaks.warn_of_row_counters(row_counters)]
    # those about single columns are last: there can be many, and of many only the first ones are printed
    warnings += [*_find_warnings(parts, measured), *source_warnings]
    preparation = Preparation(
        chosen.method,
        chosen.reason,
        left_out.count(),
        tuple(warnings),
        window_rows=max(options.rolling_windows, default=1),
        has_utc_times=has_utc_times,
        positive_reason=positive_reason,
    )
    return TrainTestSplit(*(dataclasses.replace(part, preparation=preparation) for part in (parts.train, parts.test)))


def _check_split_columns(roles: Roles, split: str) -> None:
    if split in ("group", "group-and-time") and not roles.group:
        raise ParameterError(f"split={split} needs a group_column, or a folder of several files.")


def _find_window_labels(frame: pd.DataFrame, roles: Roles, windows: FailureWindows) -> WindowLabels:
    if not pd.api.types.is_datetime64_dtype(frame[roles.time]):
        raise DataError(f"failure windows need timestamps, and {roles.time!r} holds numbers.")
    return failure_windows.label_rows(windows, frame[roles.time], frame[roles.group] if roles.group else None)


def _add_labels(frame: pd.DataFrame, roles: Roles, windows: WindowLabels) -> tuple[pd.DataFrame, Roles]:
    """Add the labels that the failure windows give, where the data has no labels of its own."""
    if roles.target:
        return frame, roles
    target = failure_windows.TARGET
    if target in frame:
        raise DataError(f"the data already has a column {target!r}; name it in target, or rename it.")
    return frame.assign(**{target: windows.labels}), dataclasses.replace(roles, target=target)


def _split(
    frame: pd.DataFrame,
    usable: Indices,
    roles: Roles,
    options: IngestOptions,
    windows: WindowLabels | None,
    files_are_groups: bool,
) -> ChosenSplit:
    labels, times, groups = (
        frame[name].iloc[usable].reset_index(drop=True) if name else None
        for name in (roles.target, roles.time, roles.group)
    )
    rows = SplitRows(len(usable), roles.task, labels, times, groups)
    if windows and roles.task == "anomaly":
        return split_at_window(rows, windows.start)
    request = SplitRequest(options.split, options.test_fraction, options.seed, bool(options.rolling_windows))
    return choose_split(rows, request, groups_are_files=files_are_groups)


def _expand(mask: Mask, usable: Indices, rows: int) -> Mask:
    """Return a mask of all rows for one of the usable rows."""
    expanded = np.zeros(rows, dtype=bool)
    expanded[usable[mask]] = True
    return expanded


def _check_features(train: Dataset) -> None:
    empty = [name for name in train.roles.features if train.frame[name].isna().all()]
    if empty:
        raise DataError(f"column {empty[0]!r} is empty in every training row; put it in drop.")


def _find_warnings(parts: TrainTestSplit, features: Sequence[str]) -> list[str]:
    """Return the warnings about both parts; `features` are those of the source, without rolling ones."""
    train, test = parts.train, parts.test
    warnings = leaks.find_perfect_features(train, features)
    warnings += leaks.find_duplicates(train, test)
    warnings += leaks.find_group_copies(train, features)
    warnings += leaks.find_constant_columns(train, features)
    warnings += leaks.find_equal_columns(train, features)
    warnings += find_new_categories(train, test)
    if train.roles.target:
        warnings += find_rare_classes(train, test)
    return warnings

"""Read data, check it, assign roles to its columns, and split it into rows to train and rows to test on."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from kfp_edge.components.ingest import failure_windows, split
from kfp_edge.components.ingest.column_kinds import convert_columns, find_times_without_role
from kfp_edge.components.ingest.failure_windows import Window
from kfp_edge.components.ingest.labels import choose_positive_class
from kfp_edge.components.ingest.options import IngestOptions, check_options, complete_options
from kfp_edge.components.ingest.report import format_refusal, format_summary
from kfp_edge.components.ingest.roles import assign_roles, check_column_exists, find_role_violations
from kfp_edge.components.ingest.rolling_features import add_rolling_features
from kfp_edge.components.ingest.schema import (
    ColumnExpectation,
    Violation,
    cast_columns,
    find_violations,
    parse_expectations,
)
from kfp_edge.components.ingest.sources import SourceTable, read_source
from kfp_edge.components.ingest.table_files import ReadOptions
from kfp_edge.errors import DataError
from kfp_edge.ml import dataset
from kfp_edge.ml.arrays import Mask
from kfp_edge.ml.dataset import Dataset, Roles
from kfp_edge.storage.fetch import fetch
from kfp_edge.storage.files import write_file

_MAX_LISTED_VIOLATIONS = 3


@dataclass(frozen=True)
class TrainTestSplit:
    """The rows to train and to test on, with the same columns and roles."""

    train: Dataset
    test: Dataset


def ingest(options: IngestOptions, train: Path, test: Path, report: Path) -> TrainTestSplit:
    """Make the two parts of a dataset and a Markdown report about them, and write all three.

    The report is also written when the data violates its rules; then it lists every violation.

    Raises:
        ParameterError: a parameter is wrong, contradicts another one, or names a column that does not exist.
        DataError: the data cannot be read, or violates a rule.
        StorageError: the data cannot be fetched, or the file system refuses.
    """
    options = complete_options(options)
    check_options(options)
    expectations = parse_expectations(options.columns)
    with TemporaryDirectory() as scratch:
        source = read_source(options.data, Path(scratch), _choose_read_options(options, expectations))
        rows, columns = source.table.num_rows, source.table.num_columns
        print(f"read {rows:,} rows and {columns} columns from {source.name}", flush=True)
        _check_names(source.table.column_names, options)
        windows = _read_windows(options, source.name, Path(scratch))
    source, violations = convert_columns(source, options, expectations)
    source, options = _leave_out_times(source, options)
    for remark in source.remarks:
        print(remark, flush=True)
    frame, roles = _check_and_assign_roles(source, options, expectations, violations, report)
    if windows:
        frame, roles = _add_labels(frame, roles, windows)
    if roles.target:
        positive = choose_positive_class(frame[roles.target], options.positive, roles.task)
        roles = dataclasses.replace(roles, positive=positive)
    frame = _sort_by_time(frame, roles)
    if options.rolling_windows:
        frame, roles = add_rolling_features(frame, roles, options.rolling_windows)
    frame = frame.astype(dict.fromkeys(roles.numeric, np.float32))
    is_test = _select_test_rows(frame, roles, options, windows)
    parts = TrainTestSplit(
        *(Dataset(frame[mask].reset_index(drop=True), roles, source.sha256) for mask in (~is_test, is_test))
    )
    _check_parts(parts)
    dataset.save(parts.train, train)
    dataset.save(parts.test, test)
    write_file(report, format_summary(source, parts.train, parts.test, options.split_method).encode())
    return parts


def _choose_read_options(options: IngestOptions, expectations: dict[str, ColumnExpectation]) -> ReadOptions:
    text_columns = [name for name, rules in expectations.items() if rules.kind == "string"]
    if options.table_format.time_format and options.time_column:
        text_columns.append(options.time_column)
    exact_columns = tuple(name for name in (options.target, options.group_column) if name)
    return ReadOptions(options.table_format, tuple(text_columns), exact_columns)


def _read_windows(options: IngestOptions, name: str, scratch: Path) -> list[Window]:
    return (
        failure_windows.read_windows(fetch(options.windows, scratch), name, options.table_format.time_zone)
        if options.windows
        else []
    )


def _leave_out_times(source: SourceTable, options: IngestOptions) -> tuple[SourceTable, IngestOptions]:
    """Leave out the columns of timestamps that have no role, and state it."""
    names = find_times_without_role(source.table, options)
    remarks = [
        f"column {name!r} holds timestamps and is left out; name it in time_column to order the rows by it"
        for name in names
    ]
    return (
        dataclasses.replace(source, remarks=(*source.remarks, *remarks)),
        dataclasses.replace(options, drop=(*options.drop, *names)),
    )


def _check_and_assign_roles(
    source: SourceTable,
    options: IngestOptions,
    expectations: dict[str, ColumnExpectation],
    violations: list[Violation],
    report: Path,
) -> tuple[pd.DataFrame, Roles]:
    """Return the data as a frame with roles; if it violates rules, write the report and raise."""
    wrong = {violation.column for violation in violations}
    correct = {name: rules for name, rules in expectations.items() if name not in wrong}
    violations = violations + find_violations(source.table, correct)
    wrong = {violation.column for violation in violations}
    table = cast_columns(source.table, {name: rules for name, rules in expectations.items() if name not in wrong})
    table = table.drop_columns([name for name in options.drop if name in table.column_names])
    role_violations = find_role_violations(table, options.role_columns, options.task)
    violations += [violation for violation in role_violations if violation.column not in wrong]
    if violations:
        raise _report_violations(source, violations, report)
    frame, roles = assign_roles(table, options.role_columns, options.task)
    if not roles.features:
        raise DataError("no column is left to learn from; take some out of drop.")
    return frame, roles


def _check_names(columns: list[str], options: IngestOptions) -> None:
    for parameter in ("target", "time_column", "group_column"):
        name = getattr(options, parameter)
        if name:
            check_column_exists(columns, name, parameter)
    for name in filter(None, options.drop):  # an empty column without a name was left out already
        check_column_exists(columns, name, "drop")


def _report_violations(source: SourceTable, violations: list[Violation], report: Path) -> DataError:
    """Write every violation to the report and the log, and return the error that names the first ones."""
    write_file(report, format_refusal(source, violations).encode())
    for violation in violations:
        print(f"violation: {violation}", flush=True)
    first = "; ".join(str(violation) for violation in violations[:_MAX_LISTED_VIOLATIONS])
    more = len(violations) - _MAX_LISTED_VIOLATIONS
    rest = f"; and {more} more, all of them in the log and the report" if more > 0 else ""
    return DataError(f"{source.name} cannot be used: {first}{rest}.")


def _add_labels(frame: pd.DataFrame, roles: Roles, windows: list[Window]) -> tuple[pd.DataFrame, Roles]:
    """Add the labels that the failure windows give, where the data has no labels of its own."""
    if not pd.api.types.is_datetime64_dtype(frame[roles.time]):
        raise DataError(f"failure windows need timestamps, and {roles.time!r} holds numbers.")
    labels = failure_windows.label_rows(frame[roles.time], windows)
    if roles.target:
        return frame, roles
    target = failure_windows.TARGET
    if target in frame:
        raise DataError(f"the data already has a column {target!r}; name it in target, or rename it.")
    return frame.assign(**{target: labels}), dataclasses.replace(roles, target=target)


def _sort_by_time(frame: pd.DataFrame, roles: Roles) -> pd.DataFrame:
    """Return the rows by time; rows of the same time keep their order."""
    if not roles.time or frame[roles.time].is_monotonic_increasing:
        return frame
    return frame.sort_values(roles.time, kind="stable", ignore_index=True)


def _select_test_rows(frame: pd.DataFrame, roles: Roles, options: IngestOptions, windows: list[Window]) -> Mask:
    if windows and options.task == "anomaly":
        return split.select_from(frame[roles.time], windows[0][0])
    if options.split_method == "time":
        return split.select_latest(frame[roles.time], options.test_fraction)
    if options.split_method == "group":
        return split.select_groups(frame[roles.group], options.test_fraction, options.seed)
    labels = frame[roles.target] if roles.target else None
    return split.select_stratified(labels, len(frame), options.test_fraction, options.seed)


def _check_parts(parts: TrainTestSplit) -> None:
    """Refuse a split after which there is nothing to learn, or nothing to measure on."""
    roles = parts.train.roles
    for name in roles.features:
        if parts.train.frame[name].isna().all():
            raise DataError(f"column {name!r} is empty in every training row; put it in drop, or split otherwise.")
    if not roles.target:
        return
    train_classes, test_classes = set(parts.train.y().tolist()), set(parts.test.y().tolist())
    if roles.task == "classification" and test_classes - train_classes:
        unseen = min(test_classes - train_classes)
        raise DataError(
            f"class {unseen!r} of {roles.target!r} is only in the test part; give more rows, or split otherwise."
        )
    if roles.task == "anomaly" and 0 not in train_classes:
        raise DataError(f"every training row is anomalous by {roles.target!r}; give normal rows, or split otherwise.")
    if len(test_classes) < 2:
        raise DataError(
            f"every test row has the label {min(test_classes)!r}, so nothing can be measured; "
            "change test_fraction, or split otherwise."
        )

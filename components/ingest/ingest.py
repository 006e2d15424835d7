"""Read data, check it, assign roles to its columns, and split it into rows to train and rows to test on."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from kfp_edge.components.ingest.columns.column_kinds import convert_columns, find_times_without_role
from kfp_edge.components.ingest.columns.roles import assign_roles, check_column_exists, find_role_violations
from kfp_edge.components.ingest.columns.schema import (
    ColumnExpectation,
    Violation,
    cast_columns,
    find_violations,
    parse_expectations,
)
from kfp_edge.components.ingest.labelling.label_sources import find_label_source
from kfp_edge.components.ingest.options import IngestOptions, check_options, complete_options
from kfp_edge.components.ingest.preparation import RowsWithRoles, TrainTestSplit, prepare
from kfp_edge.components.ingest.reading.arrow_columns import select_none
from kfp_edge.components.ingest.reading.header_rows import refuse_header_rows
from kfp_edge.components.ingest.reading.sources import SourceTable, read_source
from kfp_edge.components.ingest.reading.table_files import ReadOptions
from kfp_edge.components.ingest.reading.unread_files import RangeStart
from kfp_edge.components.ingest.report import format_refusal, format_summary
from kfp_edge.components.ingest.targets.labels import fill_missing_labels
from kfp_edge.components.ingest.targets.rules import rule_of
from kfp_edge.components.ingest.targets.target_rule import TranslatedLabels
from kfp_edge.errors import DataError
from kfp_edge.ml import dataset
from kfp_edge.ml.memory import return_freed_memory
from kfp_edge.storage.files import write_file

_MAX_LISTED_VIOLATIONS = 3


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
        source = read_source(
            options.data,
            Path(scratch),
            _choose_read_options(options, expectations),
            _find_range_start(options, expectations),
        )
        rows, columns = source.table.num_rows, source.table.num_columns
        print(f"read {rows:,} rows and {columns} columns from {source.name}", flush=True)
        rows += sum(file.rows for file in source.unread)
        _check_names(source.table.column_names, options)
    stated = (f"{parameter} (as given)" for parameter in options.table_format.stated)
    source = dataclasses.replace(source, remarks=(*stated, *source.remarks))
    refuse_header_rows(source)
    source, violations = convert_columns(source, options, expectations)
    source, options = _leave_out_times(source, options)
    translated = _translate_labels(source, options)
    if translated:
        source = dataclasses.replace(source, remarks=(*source.remarks, translated.remark))
        options = dataclasses.replace(options, positive="")
    for remark in source.remarks:
        print(remark, flush=True)
    source = _drop_unchecked_columns(source, options, expectations)
    label_source = find_label_source(options, source)
    # no variable holds the rows in an earlier form while they are made into the next one, which needs as much memory
    rows_with_roles = [_check_and_assign_roles(source, options, expectations, violations, report, translated)]
    source = dataclasses.replace(source, table=source.table.schema.empty_table(), file_names=None)
    return_freed_memory()
    parts = prepare(rows_with_roles.pop(), options, label_source)
    _log(parts)
    dataset.save(parts.train, train)
    dataset.save(parts.test, test)
    write_file(report, format_summary(source, (rows, columns), parts.train, parts.test).encode())
    return parts


def _choose_read_options(options: IngestOptions, expectations: dict[str, ColumnExpectation]) -> ReadOptions:
    text_columns = [name for name, rules in expectations.items() if rules.kind == "string"]
    if options.table_format.time_format and options.time_column:
        text_columns.append(options.time_column)
    exact_columns = tuple(name for name in (options.target, options.group_column) if name)
    return ReadOptions(options.table_format, tuple(text_columns), exact_columns)


def _find_range_start(options: IngestOptions, expectations: Mapping[str, ColumnExpectation]) -> RangeStart | None:
    """Return since when rows are needed; None if also rows before the time range matter to those in it."""
    start = options.time_range.read_start(options.table_format.time_zone)
    depends_on_all_rows = (
        options.rolling_windows
        or options.windows
        or options.labels.source  # labels are made of what happened before and after a row
        or (options.task == "anomaly" and options.target)  # which class is the anomalous one
        or (options.target and options.table_format.missing_values)  # which rows have a label
    )
    if start is None or depends_on_all_rows:
        return None
    as_text = [name for name, rules in expectations.items() if rules.kind == "string"]
    return RangeStart(
        options.time_column,
        *start,
        target=options.target,
        group_column=options.group_column,
        as_stored=frozenset((*options.drop, *as_text)),
        has_local_times=bool(options.table_format.time_zone),
    )


def _translate_labels(source: SourceTable, options: IngestOptions) -> TranslatedLabels | None:
    if options.target not in source.table.column_names:
        return None
    return rule_of(options.task).translate(options.target, source.table.column(options.target), options.positive)


def _leave_out_times(source: SourceTable, options: IngestOptions) -> tuple[SourceTable, IngestOptions]:
    """Leave out the columns of timestamps that have no role, and state it."""
    names = find_times_without_role(source.table, options)
    remedy = "" if options.time_column else "; name it in time_column to order and split the rows by it"
    warnings = [f"column {name!r} holds timestamps and is left out{remedy}" for name in names]
    return (
        dataclasses.replace(source, warnings=(*source.warnings, *warnings)),
        dataclasses.replace(options, drop=(*options.drop, *names)),
    )


def _drop_unchecked_columns(
    source: SourceTable, options: IngestOptions, expectations: dict[str, ColumnExpectation]
) -> SourceTable:
    """Free the columns that are dropped, before the others are copied; those with an expectation are checked first."""
    names = [name for name in options.drop if name in source.table.column_names and name not in expectations]
    return dataclasses.replace(source, table=source.table.drop_columns(names))


def _check_and_assign_roles(
    source: SourceTable,
    options: IngestOptions,
    expectations: dict[str, ColumnExpectation],
    violations: list[Violation],
    report: Path,
    translated: TranslatedLabels | None,
) -> RowsWithRoles:
    """Return the data as a frame with roles; if it violates rules, write the report and raise."""
    wrong = {violation.column for violation in violations}
    correct = {name: rules for name, rules in expectations.items() if name not in wrong}
    violations = violations + find_violations(source.table, correct)
    wrong = {violation.column for violation in violations}
    table = cast_columns(source.table, {name: rules for name, rules in expectations.items() if name not in wrong})
    table = table.drop_columns([name for name in options.drop if name in table.column_names])
    if translated:
        table = table.set_column(table.column_names.index(options.target), options.target, translated.column)
    role_violations = find_role_violations(table, options.role_columns, options.task)
    violations += [violation for violation in role_violations if violation.column not in wrong]
    if violations:
        raise _report_violations(source, violations, report)
    has_no_label = select_none(table)
    if options.target:
        table, has_no_label = fill_missing_labels(table, options.target)
    frame, roles = assign_roles(table, options.role_columns, options.task)
    if not roles.features:
        advice = (
            "take some out of drop" if options.drop else "give data with at least one more column, the measurements"
        )
        raise DataError(f"no column is left to learn from; {advice}.")
    return RowsWithRoles(
        frame,
        roles,
        source.sha256,
        has_no_label,
        _to_series(source.file_names),
        source.unread,
        warnings=source.warnings,
        has_utc_times=source.has_utc_times,
        anomalous_class=translated.reason if translated else "",
    )


def _locate(violation: Violation, file_names: pa.ChunkedArray | None) -> Violation:
    """Return a violation with the file of its example, whose rows are counted there."""
    if file_names is None or not violation.rows:
        return violation
    codes = file_names.combine_chunks()
    file = codes.indices[violation.example_row - 1]
    first = pc.index(codes.indices, file).as_py()
    name = codes.dictionary[file.as_py()].as_py()
    return dataclasses.replace(violation, example_row=violation.example_row - first, example_file=name)


def _to_series(file_names: pa.ChunkedArray | None) -> pd.Series | None:
    if file_names is None:
        return None
    return pd.Series(file_names.cast(pa.string()).to_numpy(zero_copy_only=False), dtype=object)


def _log(parts: TrainTestSplit) -> None:
    preparation = parts.train.preparation
    print(
        f"split: {preparation.split}, because {preparation.split_reason}: "
        f"{len(parts.train.frame):,} rows to train on, {len(parts.test.frame):,} to test on",
        flush=True,
    )
    for reason, count in preparation.left_out.items():
        print(f"left out: {reason} ({count:,})", flush=True)
    for warning in preparation.warnings:
        print(f"warning: {warning}", flush=True)


def _check_names(columns: list[str], options: IngestOptions) -> None:
    for parameter in ("target", "time_column", "group_column"):
        name = getattr(options, parameter)
        if name:
            check_column_exists(columns, name, parameter)
    for name in filter(None, options.drop):  # an empty column without a name was left out already
        check_column_exists(columns, name, "drop")


def _report_violations(source: SourceTable, violations: list[Violation], report: Path) -> DataError:
    """Write every violation to the report and the log, and return the error that names the first ones."""
    violations = [_locate(violation, source.file_names) for violation in violations]
    write_file(report, format_refusal(source, violations).encode())
    for violation in violations:
        print(f"violation: {violation}", flush=True)
    first = "; ".join(str(violation) for violation in violations[:_MAX_LISTED_VIOLATIONS])
    more = len(violations) - _MAX_LISTED_VIOLATIONS
    rest = f"; and {more} more, all of them in the log and the report" if more > 0 else ""
    return DataError(f"{source.name} cannot be used: {first}{rest}.")

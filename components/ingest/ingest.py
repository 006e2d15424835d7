"""Read data, check it, give its columns their roles, and cut it into a part to train and a part to test on."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from kfp_edge.components.ingest import columns, report, schema, series, split, synthetic
from kfp_edge.components.ingest.read import SourceTable, read
from kfp_edge.components.ingest.schema import ColumnExpectation, Violation
from kfp_edge.errors import KfpEdgeError
from kfp_edge.ml import dataset
from kfp_edge.ml.dataset import Dataset, Roles
from kfp_edge.storage.fetch import fetch
from kfp_edge.storage.files import write_file

_TASKS = ("classification", "anomaly")
_SPLITS = ("auto", "random", "time", "group")
_TOLD = 3


@dataclass(frozen=True)
class IngestRequest:
    """What `ingest` is asked for; the README says what each means."""

    data: str
    target: str = ""
    drop: tuple[str, ...] = ()
    task: str = "classification"
    time_column: str = ""
    group_column: str = ""
    windows: str = ""
    rolling_windows: tuple[int, ...] = ()
    columns: Mapping[str, Any] = field(default_factory=dict)
    split: str = "auto"
    test_fraction: float = 0.2
    seed: int = 0


@dataclass(frozen=True)
class TrainTestSplit:
    """The rows to train and to test on, with the same columns and roles."""

    train: Dataset
    test: Dataset


def ingest(request: IngestRequest, train: Path, test: Path, page: Path) -> TrainTestSplit:
    """Make the two parts of a dataset and a Markdown page about them, and write all three.

    The page is also written when the data breaks its rules; then it lists every violation.

    Raises:
        KfpEdgeError: the request contradicts itself, the data cannot be read, or it breaks a rule.
    """
    request = _with_defaults(request)
    _check_request(request)
    expected = schema.expectations(request.columns)
    text = [name for name, rules in expected.items() if rules.kind == "string"]
    with TemporaryDirectory() as scratch:
        source = read(request.data, Path(scratch), text)
        print(
            f"read {source.table.num_rows:,} rows and {source.table.num_columns} columns from {source.name}", flush=True
        )
        windows = _windows(request, source.name, Path(scratch))
    frame, roles = _checked(source, request, expected, page)
    if windows:
        frame, roles = _labelled(frame, roles, windows)
    frame = _in_order(frame, roles)
    if request.rolling_windows:
        frame, roles = series.with_rolling(frame, roles, request.rolling_windows)
    testing = _testing(frame, roles, request, windows)
    parts = TrainTestSplit(
        *(Dataset(frame[rows].reset_index(drop=True), roles, source.sha256) for rows in (~testing, testing))
    )
    _check_parts(parts)
    dataset.save(parts.train, train)
    dataset.save(parts.test, test)
    write_file(page, report.summary(source, parts.train, parts.test, _split_of(request)).encode())
    return parts


def _with_defaults(request: IngestRequest) -> IngestRequest:
    """Complete a request for the project's own data, which knows its label and what leaks it."""
    if not request.data.startswith(synthetic.SCHEME) or request.target:
        return request
    drop = tuple(dict.fromkeys((*synthetic.NOT_FEATURES, *request.drop)))
    return dataclasses.replace(request, target=synthetic.TARGET, drop=drop)


def _check_request(request: IngestRequest) -> None:
    kind = _split_of(request)
    problems = {
        "task must be classification or anomaly.": request.task not in _TASKS,
        "split must be auto, random, time or group.": request.split not in _SPLITS,
        "test_fraction must lie between 0 and 1.": not 0 < request.test_fraction < 1,
        "classification needs labels: name the label column in target, or give failure windows.": (
            request.task == "classification" and not request.target and not request.windows
        ),
        "split=time needs a time_column.": kind == "time" and not request.time_column,
        "split=group needs a group_column.": kind == "group" and not request.group_column,
        "windows need a time_column.": bool(request.windows) and not request.time_column,
        "rolling_windows need a time_column, which says what came before.": (
            bool(request.rolling_windows) and not request.time_column
        ),
        "split=random with rolling_windows would leak: neighbouring rows share their past; use split=time or group.": (
            kind == "random" and bool(request.rolling_windows)
        ),
        "an anomaly task with windows trains on the rows before the first one; use split=auto.": (
            request.task == "anomaly" and bool(request.windows) and kind != "time"
        ),
    }
    for sentence, holds in problems.items():
        if holds:
            raise KfpEdgeError(sentence)
    _check_names(request)


def _check_names(request: IngestRequest) -> None:
    used = [name for name in (request.target, request.time_column, request.group_column) if name]
    for name in used:
        if name in request.drop:
            raise KfpEdgeError(f"column {name!r} is in drop and has another role too; take it out of one.")
        if used.count(name) > 1:
            raise KfpEdgeError(f"column {name!r} has two roles; target, time_column and group_column must differ.")


def _split_of(request: IngestRequest) -> str:
    if request.split != "auto":
        return request.split
    if request.time_column:
        return "time"
    return "group" if request.group_column else "random"


def _windows(request: IngestRequest, name: str, scratch: Path) -> list[series.Window]:
    return series.read_windows(fetch(request.windows, scratch), name) if request.windows else []


def _checked(
    source: SourceTable, request: IngestRequest, expected: dict[str, ColumnExpectation], page: Path
) -> tuple[pd.DataFrame, Roles]:
    """Return the data as a frame with roles, or tell all that is wrong with it."""
    names = source.table.column_names
    roles_of = {"target": request.target, "time": request.time_column, "group": request.group_column}
    for parameter, name in zip(("target", "time_column", "group_column"), roles_of.values(), strict=True):
        if name:
            columns.present(names, name, parameter)
    for name in request.drop:
        columns.present(names, name, "drop")
    violations = schema.check(source.table, expected)
    broken = {violation.column for violation in violations}
    table = schema.typed(source.table, {name: rules for name, rules in expected.items() if name not in broken})
    table = table.drop_columns(list(request.drop))
    text = [name for name, rules in expected.items() if rules.kind == "string"]
    for violation in columns.violations(table, roles_of, request.task, text):
        if violation.column not in broken:
            violations.append(violation)
    if violations:
        raise _refusal(source, violations, page)
    frame, roles = columns.to_frame(table, roles_of, request.task)
    if not roles.features:
        raise KfpEdgeError("no column is left to learn from; take some out of drop.")
    return frame, roles


def _refusal(source: SourceTable, violations: list[Violation], page: Path) -> KfpEdgeError:
    write_file(page, report.refusal(source, violations).encode())
    for violation in violations:
        print(f"violation: {violation}", flush=True)
    first = "; ".join(str(violation) for violation in violations[:_TOLD])
    more = len(violations) - _TOLD
    rest = f"; and {more} more, all of them in the log and the report" if more > 0 else ""
    return KfpEdgeError(f"{source.name} breaks its rules: {first}{rest}.")


def _labelled(frame: pd.DataFrame, roles: Roles, windows: list[series.Window]) -> tuple[pd.DataFrame, Roles]:
    """Add the labels that the failure windows give, where the data has none of its own."""
    if not pd.api.types.is_datetime64_dtype(frame[roles.time]):
        raise KfpEdgeError(f"failure windows need timestamps, and {roles.time!r} holds numbers.")
    labels = series.inside(frame[roles.time], windows)
    if roles.target:
        return frame, roles
    if series.TARGET in frame:
        raise KfpEdgeError(f"the data has a column {series.TARGET!r} already; name it in target, or rename it.")
    return frame.assign(**{series.TARGET: labels}), dataclasses.replace(roles, target=series.TARGET)


def _in_order(frame: pd.DataFrame, roles: Roles) -> pd.DataFrame:
    """Return the rows by time; rows of the same time, and sorted data, stay as they are."""
    if not roles.time or frame[roles.time].is_monotonic_increasing:
        return frame
    return frame.sort_values(roles.time, kind="stable", ignore_index=True)


def _testing(frame: pd.DataFrame, roles: Roles, request: IngestRequest, windows: list[series.Window]) -> split.Mask:
    """Return which rows are for testing."""
    kind = _split_of(request)
    if windows and request.task == "anomaly":
        return split.before(frame[roles.time], windows[0][0])
    if kind == "time":
        return split.by_time(frame[roles.time], request.test_fraction)
    if kind == "group":
        return split.by_group(frame[roles.group], request.test_fraction, request.seed)
    labels = frame[roles.target] if roles.target else None
    return split.by_chance(labels, len(frame), request.test_fraction, request.seed)


def _check_parts(parts: TrainTestSplit) -> None:
    """Refuse a split after which there is nothing to learn, or nothing to measure on."""
    roles = parts.train.roles
    for name in roles.features:
        if parts.train.frame[name].isna().all():
            raise KfpEdgeError(f"column {name!r} is empty in every training row; put it in drop, or split otherwise.")
    if not roles.target:
        return
    learned, tested = set(parts.train.y().tolist()), set(parts.test.y().tolist())
    if roles.task == "classification" and tested - learned:
        unseen = min(tested - learned)
        raise KfpEdgeError(
            f"class {unseen!r} of {roles.target!r} is only in the test part; give more rows, or split otherwise."
        )
    if roles.task == "anomaly" and 0 not in learned:
        raise KfpEdgeError(
            f"every training row is anomalous by {roles.target!r}; give normal rows, or split otherwise."
        )
    if len(tested) < 2:
        raise KfpEdgeError(
            f"every test row has the label {min(tested)!r}, so nothing can be measured; "
            "change test_fraction, or split otherwise."
        )

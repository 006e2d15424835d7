"""Assign a role to each column, and refuse columns that cannot play it."""

import dataclasses
import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from kfp_edge.components.ingest.columns.schema import Violation, make_violation
from kfp_edge.components.ingest.columns.single_precision import advise_infinite, describe_loss, describe_offset
from kfp_edge.components.ingest.columns.unread_numbers import find_unread_numbers, holds_durations
from kfp_edge.components.ingest.reading.arrow_columns import (
    find_missing,
    is_number,
    to_float64,
    to_timestamps,
)
from kfp_edge.components.ingest.targets.rules import rule_of
from kfp_edge.components.ingest.targets.target_rule import TargetRule
from kfp_edge.errors import ParameterError
from kfp_edge.ml.dataset import Roles
from kfp_edge.suggestions import suggest

#: A text column with more values is refused: the signature lists them all.
_MAX_CATEGORIES = 5000
#: From this number of values on, a text column with a value of its own in most rows is an identifier.
_MIN_IDENTIFIERS, _MIN_IDENTIFIER_SHARE = 100, 0.5
_MAX_LISTED_COLUMNS = 20
_OR_DROP = ", or put it in drop"
_JOIN_TIMES = "join times of day with their date in the time_column, write durations as numbers such as seconds"


def check_column_exists(columns: Sequence[str], name: str, parameter: str) -> None:
    """Check that the data has the column that a parameter names.

    Raises:
        ParameterError: it has not; the message suggests a similar name.
    """
    if name in columns:
        return
    similar = suggest(name, columns)
    hint = f"did you mean {similar!r}?" if similar else f"its columns are {_list_columns(columns)}."
    raise ParameterError(f"the data has no column {name!r}, which {parameter} names; {hint}")


def _list_columns(columns: Sequence[str]) -> str:
    more = len(columns) - _MAX_LISTED_COLUMNS
    return ", ".join(columns[:_MAX_LISTED_COLUMNS]) + (f" and {more} more" if more > 0 else "")


def find_role_violations(table: pa.Table, role_columns: Mapping[str, str], task: str) -> list[Violation]:
    """Return the columns that cannot play their roles, and why.

    Args:
        table: The data without the columns that are dropped.
        role_columns: Column name by role ("target", "time", "group"), "" where there is none. Every other
            column of the table is a feature.
        task: The name of the task.
    """
    roles = _invert(role_columns)
    rule = rule_of(task)
    violations = (
        _check_column(name, table.column(name), roles.get(name, "feature"), rule) for name in table.column_names
    )
    return [violation for violation in violations if violation is not None]


def assign_roles(table: pa.Table, role_columns: Mapping[str, str], task: str) -> tuple[pd.DataFrame, Roles]:
    """Return the columns in the types of the dataset contract, and their roles.

    The table has no violation that `find_role_violations` finds.
    """
    special = _invert(role_columns)
    rule = rule_of(task)
    columns = {name: _to_series(table.column(name), special.get(name, "feature"), rule) for name in table.column_names}
    features = tuple(name for name in columns if name not in special)
    numeric = tuple(name for name in features if columns[name].dtype == np.float64)
    categorical = tuple(name for name in features if name not in numeric)
    roles = Roles(
        task,
        role_columns["target"],
        numeric,
        categorical,
        time=role_columns["time"],
        group=role_columns["group"],
        features=features,
    )
    # each column is a copy already
    return pd.DataFrame(columns, copy=False), roles


def _invert(role_columns: Mapping[str, str]) -> dict[str, str]:
    return {name: role for role, name in role_columns.items() if name}


def _to_series(column: pa.ChunkedArray, role: str, rule: TargetRule) -> pd.Series:
    if role == "target":
        return rule.to_series(column)
    if role == "time" and not is_number(column.type):
        return pd.Series(to_timestamps(column)[0].to_pandas())
    if pa.types.is_string(column.type):
        return pd.Series(column.to_numpy(zero_copy_only=False), dtype=object)
    if pa.types.is_integer(column.type) and role in ("group", "time"):
        return pd.Series(column.cast(pa.int64()).to_numpy(zero_copy_only=False))
    return pd.Series(to_float64(column))


def _check_column(name: str, column: pa.ChunkedArray, role: str, rule: TargetRule) -> Violation | None:
    missing = find_missing(column)
    if role == "feature" and missing.all():
        return Violation(name, "is empty in every row; put it in drop")
    if role == "target" and missing.all():
        return Violation(name, "is the target and is empty in every row")
    if role in ("time", "group") and missing.any():
        remedy = "fill in these cells, or remove these rows"
        violation = make_violation(name, f"is the {role} column and is missing", column, missing, remedy)
        return dataclasses.replace(violation, example="empty, or read as missing")
    if role == "target":
        return rule.check(name, column)
    return {"feature": _check_feature, "time": _check_time, "group": _check_group}[role](name, column)


def _check_feature(name: str, column: pa.ChunkedArray) -> Violation | None:
    problem = _check_name(name) or _check_type(name, column.type)
    if problem:
        return problem
    if pa.types.is_string(column.type):
        return _check_text(name, column)
    return _check_numbers(name, column)


def _check_numbers(name: str, column: pa.ChunkedArray) -> Violation | None:
    values = to_float64(column)
    infinite = np.isinf(values)
    if infinite.any():
        return make_violation(name, "is infinite", column, infinite, advise_infinite(values))
    distinct = len(np.unique(values[~np.isnan(values)]))
    if pa.types.is_integer(column.type) and distinct == 1 < len(column.drop_null().unique()):
        first = column.drop_null()[0].as_py()
        return Violation(
            name, "needs more digits than a model works with at the edge", remedy=describe_offset(first) + _OR_DROP
        )
    loss = describe_loss(values)
    return Violation(name, loss[0], remedy=loss[1] + _OR_DROP) if loss else None


def _check_name(name: str) -> Violation | None:
    if not name.strip():
        return Violation(name, 'has no name; save the data without its row labels, or put "" in drop')
    if re.fullmatch(r"Unnamed: \d+", name):
        return Violation(name, "has the name that pandas gives to row labels", remedy="put it in drop, or rename it")
    return None


def _check_type(name: str, arrow_type: pa.DataType) -> Violation | None:
    if pa.types.is_timestamp(arrow_type) or pa.types.is_date(arrow_type):
        return Violation(name, "holds timestamps; name it in time_column or put it in drop")
    if pa.types.is_time(arrow_type) or pa.types.is_duration(arrow_type):
        return Violation(name, "holds times of day or durations", remedy=_JOIN_TIMES + _OR_DROP)
    if not (is_number(arrow_type) or pa.types.is_string(arrow_type) or pa.types.is_boolean(arrow_type)):
        return Violation(name, f"is of type {arrow_type}, neither number nor text; put it in drop")
    return None


def _check_text(name: str, column: pa.ChunkedArray) -> Violation | None:
    distinct, cells = len(column.drop_null().unique()), len(column) - column.null_count
    unread_numbers = find_unread_numbers(column, has_many_values=distinct > _MIN_IDENTIFIERS)
    if unread_numbers:
        return Violation(name, unread_numbers[0], remedy=unread_numbers[1] + _OR_DROP)
    if distinct > _MIN_IDENTIFIERS and distinct > _MIN_IDENTIFIER_SHARE * cells:
        return Violation(
            name, f"is text with {distinct:,} values in {cells:,} cells, as identifiers have", remedy="put it in drop"
        )
    if distinct > _MAX_CATEGORIES:
        return Violation(name, f"is text with {distinct:,} values (at most {_MAX_CATEGORIES:,}); put it in drop")
    return None


def _check_time(name: str, column: pa.ChunkedArray) -> Violation | None:
    if is_number(column.type):
        infinite = np.isinf(to_float64(column))
        remedy = "correct these cells, or remove these rows"
        return (
            make_violation(name, "is the time column and is infinite", column, infinite, remedy)
            if infinite.any()
            else None
        )
    _, wrong = to_timestamps(column)
    if not wrong.any():
        return None
    is_text = pa.types.is_string(column.type)
    present = column.drop_null()
    if (is_text and holds_durations(present)) or pa.types.is_time(column.type) or pa.types.is_duration(column.type):
        return Violation(name, "holds times of day or durations, which have no date", remedy=_JOIN_TIMES)
    if not is_text:
        what = "booleans" if pa.types.is_boolean(column.type) else f"{column.type}"
        return Violation(name, f"is the time column and holds {what}", remedy="name a column of timestamps or numbers")
    remedy = "name its format in time_format, such as %d.%m.%Y %H:%M"
    if not re.search("[0-9]", present[0].as_py()):
        remedy = "name a column of timestamps or numbers in time_column"
    return make_violation(name, "is no timestamp like 2024-01-31 13:00:00", column, wrong, remedy)


def _check_group(name: str, column: pa.ChunkedArray) -> Violation | None:
    if pa.types.is_string(column.type) or pa.types.is_integer(column.type):
        return None
    return Violation(name, f"is the group column and holds {column.type}; groups are text or whole numbers")

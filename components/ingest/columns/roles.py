"""Assign a role to each column, and refuse columns that cannot play it."""

import re
import unicodedata
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from kfp_edge.components.ingest.columns.labels import check_target
from kfp_edge.components.ingest.columns.schema import Violation, make_violation
from kfp_edge.components.ingest.columns.single_precision import describe_loss
from kfp_edge.components.ingest.reading.arrow_columns import (
    find_missing,
    is_number,
    to_float64,
    to_timestamps,
)
from kfp_edge.errors import ParameterError
from kfp_edge.ml.arrays import Float64s
from kfp_edge.ml.dataset import Roles
from kfp_edge.suggestions import suggest

#: A text column with more values is refused: the signature lists them all.
_MAX_CATEGORIES = 5000
#: From this number of values on, a text column with a value of its own in most rows is an identifier.
_MIN_IDENTIFIERS, _MIN_IDENTIFIER_SHARE = 100, 0.5
_MAX_LISTED_COLUMNS = 20
_DURATION = r"^[+-]?[0-9]{1,4}:[0-5][0-9](:[0-5][0-9])?([.,][0-9]+)?$"


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
        task: "classification" or "anomaly".
    """
    roles = _invert(role_columns)
    violations = (
        _check_column(name, table.column(name), roles.get(name, "feature"), task) for name in table.column_names
    )
    return [violation for violation in violations if violation is not None]


def assign_roles(table: pa.Table, role_columns: Mapping[str, str], task: str) -> tuple[pd.DataFrame, Roles]:
    """Return the columns in the types of the dataset contract, and their roles.

    The table has no violation that `find_role_violations` finds.
    """
    special = _invert(role_columns)
    columns = {name: _to_series(table.column(name), special.get(name, "feature")) for name in table.column_names}
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


def _to_series(column: pa.ChunkedArray, role: str) -> pd.Series:
    if role == "time" and not is_number(column.type):
        return pd.Series(to_timestamps(column)[0].to_pandas())
    if pa.types.is_string(column.type):
        return pd.Series(column.to_numpy(zero_copy_only=False), dtype=object)
    if pa.types.is_integer(column.type) and role in ("target", "group", "time"):
        return pd.Series(column.cast(pa.int64()).to_numpy(zero_copy_only=False))
    if role == "target":
        return pd.Series(to_float64(column).astype(np.int64))
    return pd.Series(to_float64(column))


def _check_column(name: str, column: pa.ChunkedArray, role: str, task: str) -> Violation | None:
    missing = find_missing(column)
    if role == "feature" and missing.all():
        return Violation(name, "is empty in every row; put it in drop")
    if role == "target" and missing.all():
        return Violation(name, "is the target and is empty in every row")
    if role in ("time", "group") and missing.any():
        return make_violation(name, f"is the {role} column and is missing", column, missing)
    if role == "target":
        return check_target(name, column, task)
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
        return make_violation(name, "is infinite", column, infinite, _advise_infinite(values))
    loss = describe_loss(values)
    return Violation(name, loss[0], remedy=loss[1]) if loss else None


def _advise_infinite(values: Float64s) -> str:
    codes = ", ".join(code for code, value in (("Inf", np.inf), ("-Inf", -np.inf)) if (values == value).any())
    return f"if that means missing give missing_values=[{codes}]"


def _check_name(name: str) -> Violation | None:
    if not name.strip():
        return Violation(name, 'has no name; save the data without its row labels, or put "" in drop')
    if re.fullmatch(r"Unnamed: \d+", name):
        return Violation(name, "has the name that pandas gives to row labels", remedy="put it in drop, or rename it")
    return None


def _check_type(name: str, arrow_type: pa.DataType) -> Violation | None:
    if pa.types.is_timestamp(arrow_type) or pa.types.is_date(arrow_type):
        return Violation(name, "holds timestamps; name it in time_column or put it in drop")
    if pa.types.is_time(arrow_type):
        return Violation(
            name,
            "holds times of day or durations",
            remedy="join times of day with the date in the time_column, write durations as numbers such as seconds, "
            "or put it in drop",
        )
    if not (is_number(arrow_type) or pa.types.is_string(arrow_type) or pa.types.is_boolean(arrow_type)):
        return Violation(name, f"is of type {arrow_type}, neither number nor text; put it in drop")
    return None


def _check_text(name: str, column: pa.ChunkedArray) -> Violation | None:
    distinct, cells = len(column.drop_null().unique()), len(column) - column.null_count
    other_notation = _find_other_notation(column)
    if other_notation:
        return Violation(name, other_notation[0], remedy=other_notation[1])
    if distinct > _MIN_IDENTIFIERS and distinct > _MIN_IDENTIFIER_SHARE * cells:
        return Violation(
            name, f"is text with {distinct:,} values in {cells:,} cells, as identifiers have", remedy="put it in drop"
        )
    if distinct > _MAX_CATEGORIES:
        return Violation(name, f"is text with {distinct:,} values (at most {_MAX_CATEGORIES:,}); put it in drop")
    return None


def _find_other_notation(column: pa.ChunkedArray) -> tuple[str, str] | None:
    """Return what a text column is, and the remedy, where its cells are numbers in a form that is not read."""
    column = pc.utf8_trim_whitespace(column.drop_null().unique())
    example = column[0].as_py() if len(column) else ""
    if pc.all(pc.match_substring_regex(column, _DURATION)).as_py():
        return (
            f"holds durations or times of day such as {example!r}, which are not read as numbers",
            "write them as numbers, such as seconds, or put it in drop",
        )
    folded = unicodedata.normalize("NFKC", example)
    has_other_digits = pc.match_substring_regex(column, r"^[^0-9]*\p{N}[^0-9]*$")
    if folded != example and pc.all(has_other_digits).as_py():
        return (
            f"holds numbers in digits other than 0 to 9, such as {example!r}",
            f"write them in plain digits, such as {folded}, or put it in drop",
        )
    return None


def _check_time(name: str, column: pa.ChunkedArray) -> Violation | None:
    if is_number(column.type):
        return None
    _, wrong = to_timestamps(column)
    if not wrong.any():
        return None
    if pa.types.is_time(column.type):
        return Violation(name, "holds times of day without a date", remedy="join date and time in one column")
    remedy = "name its format in time_format, such as %d.%m.%Y %H:%M"
    return make_violation(name, "is no timestamp like 2024-01-31 13:00:00", column, wrong, remedy)


def _check_group(name: str, column: pa.ChunkedArray) -> Violation | None:
    if pa.types.is_string(column.type) or pa.types.is_integer(column.type):
        return None
    return Violation(name, f"is the group column and holds {column.type}; groups are text or whole numbers")

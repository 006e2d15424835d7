"""Giving each column its role, and refusing those that no model can learn from."""

import difflib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from kfp_edge.components.ingest import schema
from kfp_edge.components.ingest.schema import Violation
from kfp_edge.errors import KfpEdgeError
from kfp_edge.ml.dataset import Roles

_MOST_CLASSES = 50
_MOST_CATEGORIES = 100
_SHOWN_COLUMNS = 20


def present(names: Sequence[str], name: str, parameter: str) -> None:
    """Check that the data has a column that a parameter names.

    Raises:
        KfpEdgeError: it has not; a name that is near is suggested.
    """
    if name in names:
        return
    near = difflib.get_close_matches(name, names, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"its columns are {_listed(names)}."
    raise KfpEdgeError(f"the data has no column {name!r}, which {parameter} names; {hint}")


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN_COLUMNS
    return ", ".join(names[:_SHOWN_COLUMNS]) + (f" and {more} more" if more > 0 else "")


def violations(table: Any, roles_of: Mapping[str, str], task: str, text: Collection[str] = ()) -> list[Violation]:
    """Return why columns of a pyarrow Table cannot play their roles.

    Args:
        roles_of: Column name by role ("target", "time", "group"), "" where there is none. Every other
            column of the table is a feature.
        task: "classification" or "anomaly".
        text: Columns that are text whatever their cells look like.
    """
    special = {name: role for role, name in roles_of.items() if name}
    found = (
        _problem(name, table.column(name), special.get(name, "feature"), task, name in text)
        for name in table.column_names
    )
    return [violation for violation in found if violation is not None]


def to_frame(table: Any, roles_of: Mapping[str, str], task: str) -> tuple[pd.DataFrame, Roles]:
    """Return the columns as the dataset contract wants them, and who is who; see `violations`, which comes first."""
    special = {name: role for role, name in roles_of.items() if name}
    values = {name: _values(table.column(name), special.get(name, "feature")) for name in table.column_names}
    features = tuple(name for name in values if name not in special)
    numeric = tuple(name for name in features if values[name].dtype == np.float64)
    categorical = tuple(name for name in features if name not in numeric)
    roles = Roles(task, roles_of["target"], numeric, categorical, roles_of["time"], roles_of["group"], features)
    return pd.DataFrame(values), roles


def _values(column: Any, role: str) -> Any:
    if pa.types.is_string(column.type):
        if role == "time":
            return pd.Series(schema.timestamps(column)[0].to_pandas())
        return pd.Series(column.to_numpy(zero_copy_only=False), dtype=object)
    if role == "time" and not schema.is_number(column.type):
        return schema.timestamps(column)[0].to_pandas()
    if role == "target" or (role == "group" and not pa.types.is_floating(column.type)):
        return pd.Series(schema.numbers(column).astype(np.int64))
    return pd.Series(schema.numbers(column))


def _problem(name: str, column: Any, role: str, task: str, is_text: bool) -> Violation | None:
    """Return why a column cannot play its role, or None when it can."""
    absent = schema.missing(column)
    if role == "feature" and absent.all():
        return Violation(name, "is empty in every row; put it in drop")
    if role != "feature" and absent.any():
        return schema.violation(name, f"is the {role} column and is missing", column, absent)
    if role in ("feature", "target") and not is_text:
        stray = schema.stray_text(name, column)
        if stray is not None:
            return stray
    if role == "target":
        return _target_problem(name, column, task)
    return {"feature": _feature_problem, "time": _time_problem, "group": _group_problem}[role](name, column)


def _feature_problem(name: str, column: Any) -> Violation | None:
    kind = column.type
    if not name.strip():
        return Violation(name, 'has no name; save the data without its row labels, or put "" in drop')
    if pa.types.is_string(kind):
        distinct = len(column.unique()) - bool(column.null_count)
        if distinct > _MOST_CATEGORIES:
            return Violation(name, f"is text with {distinct} values (at most {_MOST_CATEGORIES}); put it in drop")
        return None
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return Violation(name, "holds timestamps; name it in time_column or put it in drop")
    if not (schema.is_number(kind) or pa.types.is_boolean(kind)):
        return Violation(name, f"is of type {kind}, neither number nor text; put it in drop")
    infinite = np.isinf(schema.numbers(column))
    return schema.violation(name, "is infinite", column, infinite) if infinite.any() else None


def _time_problem(name: str, column: Any) -> Violation | None:
    if schema.is_number(column.type):
        return None
    _, wrong = schema.timestamps(column)
    if not wrong.any():
        return None
    return schema.violation(name, "is no timestamp like 2024-01-31 13:00:00", column, wrong)


def _group_problem(name: str, column: Any) -> Violation | None:
    if pa.types.is_string(column.type) or pa.types.is_integer(column.type):
        return None
    return Violation(name, f"is the group column and holds {column.type}; groups are text or whole numbers")


def _target_problem(name: str, column: Any, task: str) -> Violation | None:
    kind, classes = column.type, len(column.unique())
    if classes < 2:
        return Violation(name, f"is the target and is {column[0].as_py()!r} in every row, so there is nothing to learn")
    if not (pa.types.is_string(kind) or pa.types.is_boolean(kind) or schema.is_number(kind)):
        return Violation(name, f"is the target and holds {kind}; labels are whole numbers, booleans or text")
    if task == "anomaly":
        wrong = _other_than(column, (0, 1))
        what = "is the target of an anomaly task and is neither 0 nor 1"
    else:
        wrong = np.zeros(len(column), dtype=bool) if pa.types.is_string(kind) else _broken(column)
        what = "is the target and is no whole number"
    if wrong.any():
        return schema.violation(name, what, column, wrong)
    if classes > _MOST_CLASSES:
        return Violation(name, f"is the target with {classes} classes (at most {_MOST_CLASSES}); is it really a label?")
    return None


def _other_than(column: Any, allowed: Sequence[int]) -> schema.Mask:
    if pa.types.is_string(column.type):
        return np.ones(len(column), dtype=bool)
    return np.asarray(~np.isin(schema.numbers(column), allowed))


def _broken(column: Any) -> schema.Mask:
    values = schema.numbers(column)
    return np.asarray(~(np.isfinite(values) & (values == np.floor(values))))

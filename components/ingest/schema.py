"""What the columns are expected to be, and every place where they are not."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from kfp_edge.errors import KfpEdgeError

_NUMBER = r"^\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*$"
#: A text column with at least this share of numbers is a number column with wrong cells.
_MOSTLY_NUMBERS = 0.5
_SHOWN = 40

Kind = Literal["number", "integer", "string", "boolean", "datetime"]
Mask = npt.NDArray[np.bool_]


class ColumnExpectation(BaseModel):
    """Expected properties of one column."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    dtype: Kind | None = None
    """Type of the values: `number`, `integer`, `string`, `boolean` or `datetime`; not checked if empty."""
    min: float | None = None
    """Lowest allowed value, for numbers."""
    max: float | None = None
    """Highest allowed value, for numbers."""
    values: tuple[bool | float | str, ...] | None = None
    """The allowed values, such as `["L", "M", "H"]`."""
    missing: bool = True
    """True if cells may be empty."""

    @model_validator(mode="after")
    def _limits_are_for_numbers(self) -> "ColumnExpectation":
        if self.kind not in (None, "number", "integer") and (self.min is not None or self.max is not None):
            raise ValueError("min and max are for numbers")
        return self

    @property
    def kind(self) -> Kind | None:
        """The dtype; a number where only limits are given."""
        limited = self.min is not None or self.max is not None
        return self.dtype or ("number" if limited else None)


@dataclass(frozen=True)
class Violation:
    """Cells of one column that are not as they must be; rows are counted from 1, without the header."""

    column: str
    what: str
    rows: int = 0
    example_row: int = 0
    example: str = ""

    def __str__(self) -> str:
        if not self.rows:
            return f"column {self.column!r} {self.what}"
        where = f"{self.rows} row" if self.rows == 1 else f"{self.rows} rows"
        return f"column {self.column!r} {self.what} in {where} (row {self.example_row}: {self.example})"


def expectations(columns: Mapping[str, Any]) -> dict[str, ColumnExpectation]:
    """Read `{column: {"dtype", "min", "max", "values", "missing"}}`.

    Raises:
        KfpEdgeError: a key or a value is not one of these.
    """
    expected = {}
    for name, rules in columns.items():
        try:
            expected[name] = ColumnExpectation.model_validate(rules)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in (name, *first["loc"]))
            said = first["msg"].removeprefix("Value error, ")
            raise KfpEdgeError(f"the parameter columns is wrong at {where}: {said}.") from error
    return expected


def check(table: Any, expected: Mapping[str, ColumnExpectation]) -> list[Violation]:
    """Return every violation in a pyarrow Table, column by column in the order of `expected`."""
    violations = []
    for name, rules in expected.items():
        if name in table.column_names:
            violations += _check_column(name, table.column(name), rules)
        else:
            violations.append(Violation(name, "is expected and not in the data"))
    return violations


def typed(table: Any, expected: Mapping[str, ColumnExpectation]) -> Any:
    """Return the table with each checked column in the type that is expected of it."""
    for name, rules in expected.items():
        if rules.kind:
            converted, _ = _convert(table.column(name), rules.kind)
            table = table.set_column(table.column_names.index(name), name, converted)
    return table


def stray_text(name: str, column: Any) -> Violation | None:
    """Return the few cells that keep a column of numbers from being one, if that is what it is."""
    if not pa.types.is_string(column.type):
        return None
    _, wrong = _convert(column, "number")
    present = len(column) - column.null_count
    if not wrong.any() or wrong.sum() > (1 - _MOSTLY_NUMBERS) * present:
        return None
    return violation(name, "holds numbers but is not a number", column, wrong)


def violation(name: str, what: str, column: Any, wrong: Mask) -> Violation:
    """Return a violation of the rows where `wrong` is true, the first of them as the example."""
    row = int(np.argmax(wrong))
    example = repr(column[row].as_py())
    if len(example) > _SHOWN:
        example = f"{example[:_SHOWN]}..."
    return Violation(name, what, int(wrong.sum()), row + 1, example)


def numbers(column: Any) -> npt.NDArray[np.float64]:
    """Return a column of numbers, booleans or decimals as float64, NaN where missing."""
    values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.asarray(values, dtype=np.float64)


def is_number(kind: Any) -> bool:
    """Tell whether a pyarrow type holds numbers (booleans are none)."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def missing(column: Any) -> Mask:
    """Tell of each row whether its cell is missing: null, or NaN."""
    return np.asarray(pc.is_null(column, nan_is_null=pa.types.is_floating(column.type)).to_numpy(zero_copy_only=False))


def timestamps(column: Any) -> tuple[Any, Mask]:
    """Return a column as timestamps in UTC without a time zone, and which present cells are none."""
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return column.cast(pa.timestamp("us"), safe=False), np.zeros(len(column), dtype=bool)
    if not pa.types.is_string(kind):
        return pa.chunked_array([pa.nulls(len(column), pa.timestamp("us"))]), ~missing(column)
    parsed = pd.to_datetime(pd.Series(column.to_pandas()), format="ISO8601", errors="coerce", utc=True)
    naive = parsed.dt.tz_convert(None).astype("datetime64[us]")
    return pa.chunked_array([pa.array(naive)]), parsed.isna().to_numpy() & ~missing(column)


def _check_column(name: str, column: Any, rules: ColumnExpectation) -> list[Violation]:
    absent = missing(column)
    converted, wrong = (
        (column, np.zeros(len(column), dtype=bool)) if rules.kind is None else _convert(column, rules.kind)
    )
    compared = pd.Series(numbers(converted) if is_number(converted.type) else converted.to_pandas())
    judged = ~absent & ~wrong
    found = [(f"is not {_article(rules.kind)}", wrong)]
    if rules.min is not None:
        found.append((f"is below {rules.min:g}", judged & (compared < rules.min).to_numpy()))
    if rules.max is not None:
        found.append((f"is above {rules.max:g}", judged & (compared > rules.max).to_numpy()))
    if rules.values is not None:
        shown = re.sub(r"^\[|\]$", "", repr(list(rules.values)))
        found.append((f"is none of {shown}", judged & ~compared.isin(rules.values).to_numpy()))
    if not rules.missing:
        found.append(("is missing", absent))
    return [violation(name, what, column, mask) for what, mask in found if mask.any()]


def _article(kind: Kind | None) -> str:
    return f"an {kind}" if kind == "integer" else f"a {kind}"


def _convert(column: Any, kind: Kind) -> tuple[Any, Mask]:
    """Return a column as `kind`, and which present cells cannot be: they are missing in the result."""
    if kind == "datetime":
        return timestamps(column)
    if kind == "string":
        text = column.cast(pa.string())
        return text, np.zeros(len(column), dtype=bool) if pa.types.is_string(column.type) else ~missing(column)
    if kind == "boolean":
        return _booleans(column)
    return _numbers(column, whole=kind == "integer")


def _numbers(column: Any, *, whole: bool) -> tuple[Any, Mask]:
    absent = missing(column)
    if pa.types.is_string(column.type):
        fits = pc.fill_null(pc.match_substring_regex(column, _NUMBER), False)
        column = pc.utf8_trim_whitespace(pc.if_else(fits, column, None)).cast(pa.float64())
        wrong = ~fits.to_numpy() & ~absent
    elif is_number(column.type):
        wrong = np.zeros(len(column), dtype=bool)
    else:
        return pa.chunked_array([pa.nulls(len(column), pa.float64())]), ~absent
    if whole and not pa.types.is_integer(column.type):
        values = numbers(column)
        wrong = wrong | (~np.isnan(values) & (values != np.floor(values)))
    return column, wrong


def _booleans(column: Any) -> tuple[Any, Mask]:
    absent = missing(column)
    if pa.types.is_boolean(column.type):
        return column, np.zeros(len(column), dtype=bool)
    if is_number(column.type):
        values = numbers(column)
        true, false = values == 1, values == 0
    elif pa.types.is_string(column.type):
        lower = pc.fill_null(pc.utf8_lower(column), "").to_numpy(zero_copy_only=False)
        true, false = lower == "true", lower == "false"
    else:
        true = false = np.zeros(len(column), dtype=bool)
    known = true | false
    return pa.chunked_array([pa.array(true, mask=~known)]), ~known & ~absent

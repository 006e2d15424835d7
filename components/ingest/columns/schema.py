"""The expected schema of the data, and every violation of it."""

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from kfp_edge.components.ingest.reading.arrow_columns import (
    Kind,
    convert,
    find_missing,
    is_number,
    select_none,
    to_float64,
)
from kfp_edge.errors import ParameterError
from kfp_edge.ml.arrays import Mask
from kfp_edge.suggestions import did_you_mean
from kfp_edge.wording import count_of

_MAX_EXAMPLE_LENGTH = 40


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
        """The dtype; `number` where only limits are given."""
        has_limits = self.min is not None or self.max is not None
        return self.dtype or ("number" if has_limits else None)


@dataclass(frozen=True)
class Violation:
    """A rule that cells of one column violate; rows are counted from 1, without the header."""

    column: str
    problem: str
    rows: int = 0
    example_row: int = 0
    example: str = ""
    #: The file of the example in a folder of several, where its row is counted.
    example_file: str = ""
    #: What to do about it, as the end of the sentence.
    remedy: str = ""

    def __str__(self) -> str:
        what = f"column {self.column!r} {self.problem}"
        if self.rows:
            of_file = f" of {self.example_file}" if self.example_file else ""
            what += f" in {count_of(self.rows, 'row')} (row {self.example_row}{of_file}: {self.example})"
        return f"{what}; {self.remedy}" if self.remedy else what


def parse_expectations(columns: Mapping[str, Any]) -> dict[str, ColumnExpectation]:
    """Parse `{column: {"dtype", "min", "max", "values", "missing"}}`.

    Raises:
        ParameterError: a key or a value is not one of these.
    """
    expectations = {}
    for name, rules in columns.items():
        try:
            expectations[name] = ColumnExpectation.model_validate(rules)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in (name, *first["loc"]))
            if first["type"] == "extra_forbidden":
                known = ColumnExpectation.model_fields
                hint = f"{did_you_mean(str(first['loc'][-1]), known)}name one of {', '.join(known)}"
                reason = f"no such property of a column; {hint}"
            else:
                reason = first["msg"].removeprefix("Value error, ")
            raise ParameterError(f"the parameter columns is wrong at {where}: {reason}.") from error
    return expectations


def find_violations(table: pa.Table, expectations: Mapping[str, ColumnExpectation]) -> list[Violation]:
    """Return every violation, column by column in the order of `expectations`."""
    violations = []
    for name, rules in expectations.items():
        if name in table.column_names:
            violations += _check_column(name, table.column(name), rules)
        else:
            violations.append(Violation(name, "is expected and not in the data"))
    return violations


def cast_columns(table: pa.Table, expectations: Mapping[str, ColumnExpectation]) -> pa.Table:
    """Return the table with each column that has an expectation in the expected type."""
    for name, rules in expectations.items():
        if rules.kind:
            converted, _ = convert(table.column(name), rules.kind)
            table = table.set_column(table.column_names.index(name), name, converted)
    return table


def make_violation(name: str, problem: str, column: pa.ChunkedArray, wrong: Mask, remedy: str = "") -> Violation:
    """Return a violation in the rows that `wrong` selects, with the first of them as the example."""
    row = int(np.argmax(wrong))
    cell = column[row].as_py()
    example = str(cell) if isinstance(cell, date) else repr(cell)
    if len(example) > _MAX_EXAMPLE_LENGTH:
        example = f"{example[:_MAX_EXAMPLE_LENGTH]}..."
    return Violation(name, problem, int(wrong.sum()), row + 1, example, remedy=remedy)


def _check_column(name: str, column: pa.ChunkedArray, rules: ColumnExpectation) -> list[Violation]:
    missing = find_missing(column)
    converted, wrong = (column, select_none(column)) if rules.kind is None else convert(column, rules.kind)
    values = pd.Series(to_float64(converted) if is_number(converted.type) else converted.to_pandas())
    comparable = ~missing & ~wrong
    problems = [(f"is not {_with_article(rules.kind)}", wrong)]
    if rules.min is not None:
        problems.append((f"is below {rules.min:g}", comparable & (values < rules.min).to_numpy()))
    if rules.max is not None:
        problems.append((f"is above {rules.max:g}", comparable & (values > rules.max).to_numpy()))
    if rules.values is not None:
        allowed = re.sub(r"^\[|\]$", "", repr(list(rules.values)))
        problems.append((f"is none of {allowed}", comparable & ~values.isin(rules.values).to_numpy()))
    if not rules.missing:
        problems.append(("is missing", missing))
    violations = [make_violation(name, problem, column, rows) for problem, rows in problems if rows.any()]
    if rules.kind in ("number", "integer", "boolean") and wrong.any() and pa.types.is_string(column.type):
        code = json.dumps(column[int(np.argmax(wrong))].as_py(), ensure_ascii=False)
        remedy = f"if that means missing give missing_values=[{code}]"
        violations[0] = dataclasses.replace(violations[0], remedy=remedy)
    return violations


def _with_article(kind: Kind | None) -> str:
    return f"an {kind}" if kind == "integer" else f"a {kind}"

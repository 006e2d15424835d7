"""Decide what the text columns of a table are: numbers in another notation, numbers with codes, booleans, or text.

A column changes its kind only where its cells leave one reading, and then it is stated. What is unclear is refused
with the parameter that decides it.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kfp_edge.components.ingest.columns.schema import Violation
from kfp_edge.components.ingest.reading.number_notation import (
    MISSING_CODES,
    Notation,
    NumberCells,
    Reading,
    drop_units,
    find_units,
    parse_numbers,
)
from kfp_edge.components.ingest.reading.table_format import TableFormat
from kfp_edge.ml.arrays import Mask

#: Cells that are missing in every column, as in pandas and R.
STANDARD_CODES = frozenset(
    (
        *("NA", "N/A", "#N/A", "#N/A N/A", "#NA", "<NA>", "n/a", "NULL", "null", "NaN", "nan", "-NaN", "-nan"),
        *("1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"),
    )
)
#: From this share of numbers on, among its cells or its distinct values, a column is taken for numbers.
_MIN_CELL_SHARE, _MIN_VALUE_SHARE = 0.1, 0.5
_MIN_VALUES_WITH_UNIT = 3
_MAX_LISTED_CODES = 5
_FIRST_CELLS = 1000
_MAX_CELL_LENGTH = 40


@dataclass
class ColumnReadings:
    """The table with every text column in its kind, what was changed, and what is unclear."""

    table: pa.Table
    remarks: list[str] = field(default_factory=list)
    #: Whether the zone of the time column was known, so that its times are in UTC.
    has_utc_times: bool = False
    violations: list[Violation] = field(default_factory=list)
    #: The format of the time column and its variants; none where it is ISO 8601, or there is none.
    time_formats: tuple[str, ...] = ()

    def replace(self, name: str, column: pa.ChunkedArray) -> None:
        """Put another column in the place of one."""
        self.table = self.table.set_column(self.table.column_names.index(name), name, column)


@dataclass(frozen=True)
class _Cells:
    """The cells of one text column by their distinct values, codes for missing values left out."""

    name: str
    values: pa.Array
    #: Index into `values` for each row, -1 where the cell is missing.
    indices: np.ndarray[tuple[int], np.dtype[np.int64]]

    @property
    def counts(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.bincount(self.indices[self.indices >= 0], minlength=len(self.values))

    def expand(self, values: pa.Array) -> pa.ChunkedArray:
        """Return a column with a value for each row from one for each distinct cell."""
        return pa.chunked_array([values.take(pa.array(self.indices, mask=self.indices < 0))])

    def violation(self, problem: str, which: Mask, remedy: str) -> Violation:
        rows = self.indices >= 0
        rows[rows] = which[self.indices[rows]]
        row = int(np.argmax(rows))
        return Violation(
            self.name, problem, int(rows.sum()), row + 1, _quote(self.values[self.indices[row]]), remedy=remedy
        )


def read_text_columns(
    table: pa.Table,
    table_format: TableFormat,
    *,
    skipped: Collection[str],
    text_columns: Collection[str],
    number_columns: Collection[str],
    is_typed: bool,
    uses_decimal_comma: bool,
) -> ColumnReadings:
    """Return the table with the text columns that hold numbers or booleans as such, and missing values as missing.

    Args:
        table: The table as it was read.
        table_format: What was stated about it.
        skipped: Columns that are not looked at.
        text_columns: Columns that stay text whatever their cells look like.
        number_columns: Columns that are expected to be numbers.
        is_typed: Whether text is the stored type of a text column: then booleans and whole numbers stay text.
        uses_decimal_comma: Whether some column of the file is known to have decimal commas.
    """
    result = ColumnReadings(table)
    unclear: dict[str, tuple[_Cells, NumberCells]] = {}
    for name in table.column_names:
        if name in skipped or not pa.types.is_string(table.column(name).type):
            continue
        column = _remove_missing(name, table.column(name), table_format, result)
        is_clear = not (uses_decimal_comma or table_format.decimal == "," or table_format.thousands == ".")
        numbers = None if name in text_columns else _cast_plain_numbers(column, has_clear_points=is_clear)
        if numbers is not None and is_typed and name not in number_columns and pa.types.is_integer(numbers.type):
            continue
        if numbers is not None:
            result.replace(name, numbers)
            continue
        cells = _find_cells(name, column, result)
        if name in text_columns or not len(cells.values):
            continue
        parsed = parse_numbers(cells.values)
        unit = "" if parsed.is_number.any() else _check_unit(cells, name in number_columns, result)
        if unit:
            parsed = parse_numbers(drop_units(cells.values, unit))
        if parsed.is_number.any() and _check_mixture(cells, parsed, name in number_columns, result):
            readings = _choose(parsed.readings, table_format)
            if len(readings) == 1:
                _set_numbers(cells, readings[0], result)
                uses_decimal_comma |= _has_mark(cells, ",") and readings[0].notation.decimal == ","
            else:
                unclear[name] = cells, parsed
        elif not parsed.is_number.any() and not is_typed:
            _read_booleans(cells, result)
    for cells, parsed in unclear.values():
        _decide(cells, parsed, table_format, uses_decimal_comma, result)
    return result


def remove_missing_numbers(table: pa.Table, missing_values: Sequence[str]) -> pa.Table:
    """Return the table without the numbers that stand for missing values, such as -200."""
    numbers = [number for number in map(_to_number, missing_values) if number is not None]
    for index, column_field in enumerate(table.schema):
        if not (pa.types.is_integer(column_field.type) or pa.types.is_floating(column_field.type)):
            continue
        column = table.column(index)
        for number in numbers:
            is_code = pc.fill_null(pc.equal(column, number), False)
            if pc.any(is_code).as_py():
                column = pc.if_else(is_code, None, column)
        table = table.set_column(index, column_field.name, column)
    return table


def _to_number(code: str) -> float | None:
    try:
        return float(code)
    except ValueError:
        return None


def _remove_missing(
    name: str, column: pa.ChunkedArray, table_format: TableFormat, result: ColumnReadings
) -> pa.ChunkedArray:
    """Return a column without the codes that were declared, or that are standard; spaces alone are no value."""
    codes = pa.array(sorted({*STANDARD_CODES, *table_format.missing_values, ""}))
    is_code = pc.is_in(column, codes)
    if not pc.any(is_code).as_py():
        return column
    used = pc.value_counts(column.filter(is_code)).to_pylist()
    listed = ", ".join(f"{entry['values']!r} ({entry['counts']:,} cells)" for entry in used if entry["values"])
    if listed:
        result.remarks.append(f"column {name!r}: {listed} read as missing")
    column = pc.if_else(is_code, None, column)
    result.replace(name, column)
    return column


def _cast_plain_numbers(column: pa.ChunkedArray, *, has_clear_points: bool) -> pa.ChunkedArray | None:
    """Return a column whose cells are all plain numbers, fast; None if there is another cell, or none at all.

    Args:
        column: The cells.
        has_clear_points: Whether a point is a decimal mark for sure.
    """
    if column.null_count == len(column):
        return None
    for arrow_type in (pa.int64(), pa.float64()) if has_clear_points else (pa.int64(),):
        try:
            column.slice(0, _FIRST_CELLS).cast(arrow_type)  # a cast that fails is slow
            return column.cast(arrow_type)
        except pa.ArrowInvalid:
            continue
    return None


def _find_cells(name: str, column: pa.ChunkedArray, result: ColumnReadings) -> _Cells:
    """Return the distinct cells without spaces around them; a column that had any is replaced."""
    encoded = pc.dictionary_encode(column).unify_dictionaries()
    distinct = encoded.chunk(0).dictionary if encoded.num_chunks else pa.array([], pa.string())
    indices = np.concatenate(
        [pc.fill_null(chunk.indices, -1).to_numpy() for chunk in encoded.chunks] or [np.array([], np.int64)]
    ).astype(np.int64)
    trimmed = pc.utf8_trim_whitespace(distinct)
    codes = pc.is_in(trimmed, pa.array(sorted(STANDARD_CODES | {""})))
    if trimmed.equals(distinct) and not pc.any(codes).as_py():
        return _Cells(name, distinct, indices)
    values = pc.unique(trimmed.filter(pc.invert(codes)))
    positions = pc.fill_null(pc.index_in(trimmed, values), -1).to_numpy().astype(np.int64)
    cells = _Cells(name, values, np.where(indices >= 0, positions[indices], -1))
    result.replace(name, cells.expand(values))
    padded = pc.and_(pc.not_equal(trimmed, distinct), pc.not_equal(trimmed, ""))
    if pc.any(padded).as_py():
        result.remarks.append(
            f"column {name!r}: spaces removed around cells such as {_quote(distinct.filter(padded)[0])}"
        )
    return cells


def _check_unit(cells: _Cells, is_number_expected: bool, result: ColumnReadings) -> str:
    """Return the unit that all cells have if they are expected to be numbers; a unit that is unexpected is unclear."""
    units = find_units(cells.values)
    if not units or len(cells.values) < _MIN_VALUES_WITH_UNIT:
        return ""
    every_cell = np.ones(len(cells.values), dtype=bool)
    keep = f"to keep text {_expect(cells.name, 'string')}"
    if len(units) == 1:
        if is_number_expected:
            return units[0]
        advice = f"to read the numbers give {_expect(cells.name, 'number')}, {keep}"
        result.violations.append(cells.violation(f"holds numbers with the unit {units[0]!r}", every_cell, advice))
    elif len(units) <= _MAX_LISTED_CODES and (_has_mark(cells, ".") or _has_mark(cells, ",")):
        listed = " and ".join(map(repr, units))
        advice = f"to read numbers write them all in one unit, {keep}"
        result.violations.append(cells.violation(f"holds numbers with the units {listed}", every_cell, advice))
    return ""


def _check_mixture(cells: _Cells, parsed: NumberCells, is_number_expected: bool, result: ColumnReadings) -> bool:
    """Return whether all cells are numbers in one notation; otherwise state or refuse what they are."""
    is_text = ~parsed.is_number
    if is_text.any():
        if is_number_expected:  # the check of the expectations names the cells
            return False
        texts = cells.values.filter(pa.array(is_text)).to_pylist()
        share = cells.counts[parsed.is_number].sum() / cells.counts.sum()
        are_codes = all(text.lower() in MISSING_CODES for text in texts)
        if are_codes or share >= _MIN_CELL_SHARE or parsed.is_number.mean() >= _MIN_VALUE_SHARE:
            result.violations.append(
                cells.violation("holds numbers but is not a number", is_text, _advise_codes(cells.name, texts))
            )
        else:
            result.remarks.append(f"column {cells.name!r} is text: only {share:.2g} of its cells are numbers")
        return False
    if not parsed.readings:
        example = _find_other_notation(cells)
        result.violations.append(
            cells.violation("mixes notations of numbers", example, "write all of its numbers in one notation")
        )
        return False
    if len(parsed.affixes) > 1:
        has_affix = np.array([any(affix and affix in str(cell) for affix in parsed.affixes) for cell in cells.values])
        result.violations.append(
            cells.violation(
                "has numbers with and without a unit" if "" in parsed.affixes else "mixes units",
                has_affix if has_affix.any() else ~has_affix,
                f"write all of its numbers in one unit, or keep them as text with {_expect(cells.name, 'string')}",
            )
        )
        return False
    return True


def _find_other_notation(cells: _Cells) -> Mask:
    """Return the distinct cells whose notation is not that of the most frequent one."""
    frequent = int(np.argmax(cells.counts))
    notations = [
        {reading.notation for reading in parse_numbers(cells.values.slice(index, 1)).readings}
        for index in range(min(len(cells.values), 1000))
    ]
    usual = notations[frequent] if frequent < len(notations) else notations[0]
    differs = np.zeros(len(cells.values), dtype=bool)
    differs[: len(notations)] = [not (notation & usual) for notation in notations]
    if not differs.any():
        differs[0] = True
    return differs


def _advise_codes(name: str, texts: Sequence[str]) -> str:
    listed = ", ".join(json.dumps(_shorten(text), ensure_ascii=False) for text in texts[:_MAX_LISTED_CODES])
    if len(texts) > _MAX_LISTED_CODES:
        listed += ", ..."
    return (
        f"if these mean missing, give missing_values=[{listed}]; if the column is text, give {_expect(name, 'string')}"
    )


def _expect(name: str, dtype: str) -> str:
    return f"columns={json.dumps({name: {'dtype': dtype}}, ensure_ascii=False)}"


def _choose(readings: Sequence[Reading], table_format: TableFormat) -> list[Reading]:
    """Return the readings that what was stated leaves."""
    decimal, thousands = table_format.decimal, table_format.thousands_character
    left = [
        reading
        for reading in readings
        if not (thousands and reading.notation.decimal == thousands)
        and not (decimal and reading.notation.thousands == decimal)
    ]
    if decimal:
        left = [reading for reading in left if reading.notation.decimal == decimal] or left
    if thousands:
        left = [reading for reading in left if reading.notation.thousands == thousands] or left
    return left or list(readings)


def _has_mark(cells: _Cells, mark: str) -> bool:
    return bool(pc.any(pc.match_substring(cells.values, mark)).as_py())


def _decide(
    cells: _Cells, parsed: NumberCells, table_format: TableFormat, uses_decimal_comma: bool, result: ColumnReadings
) -> None:
    """Read a column whose cells allow two readings as the rest of the table shows, or refuse it with both."""
    readings = _choose(parsed.readings, table_format)
    has_comma = _has_mark(cells, ",")
    if uses_decimal_comma and has_comma:
        readings = [reading for reading in readings if reading.notation.decimal == ","] or readings
    elif not uses_decimal_comma and not has_comma:
        readings = [reading for reading in readings if reading.notation == Notation(".", "")] or readings
    if len(readings) == 1:
        _set_numbers(cells, readings[0], result)
        return
    differs = readings[0].values != readings[1].values
    example = int(np.argmax(differs))
    options = " or ".join(
        f"{reading.values[example]:.15g} with {reading.notation.parameter(reading.notation.thousands != '')}"
        for reading in readings[:2]
    )
    result.violations.append(cells.violation("holds numbers that can be read in two ways", differs, f"it is {options}"))


def _set_numbers(cells: _Cells, reading: Reading, result: ColumnReadings) -> None:
    result.replace(cells.name, cells.expand(pa.array(reading.values, from_pandas=True)))
    plain = pc.match_substring_regex(cells.values, r"^[+-]?[0-9]*\.?[0-9]*([eE][+-]?[0-9]+)?$")
    plain = pc.and_(plain, pc.or_(pc.invert(pc.match_substring(cells.values, ".")), reading.notation.decimal == "."))
    if pc.all(plain).as_py():
        return
    other = int(np.argmin(plain.to_numpy(zero_copy_only=False)))
    row = int(np.argmax(cells.indices == other)) + 1
    result.remarks.append(
        f"column {cells.name!r} is read as numbers: {_quote(cells.values[other])} (row {row}) is "
        f"{reading.values[other]:.15g}"
    )


def _read_booleans(cells: _Cells, result: ColumnReadings) -> None:
    """Make a column of true and false booleans, in any case; codes among them are unclear."""
    lower = pc.utf8_lower(cells.values).to_pylist()
    others = [value for value in lower if value not in ("true", "false")]
    if len(others) == len(lower):
        return
    if not others:
        result.replace(cells.name, cells.expand(pa.array([value == "true" for value in lower])))
    elif all(value in MISSING_CODES for value in others):
        is_other = np.array([value in others for value in lower])
        texts = cells.values.filter(pa.array(is_other)).to_pylist()
        result.violations.append(
            cells.violation("holds true and false but is not a boolean", is_other, _advise_codes(cells.name, texts))
        )


def _quote(cell: pa.Scalar) -> str:
    return repr(_shorten(str(cell.as_py())))


def _shorten(text: str) -> str:
    return text if len(text) <= _MAX_CELL_LENGTH else f"{text[:_MAX_CELL_LENGTH]}..."

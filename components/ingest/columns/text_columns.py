"""Decide what the text columns of a table are: numbers in another notation, numbers with codes, booleans, or text.

A column changes its kind only where its cells leave one reading, and then it is stated. What is unclear is refused
with the parameter that decides it.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kfp_edge.components.ingest.columns.text_cells import (
    Cells,
    ColumnReadings,
    find_cells,
    quote,
    remove_missing,
    shorten,
)
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

#: From this share of numbers on, among its cells or its distinct values, a column is taken for numbers.
_MIN_CELL_SHARE, _MIN_VALUE_SHARE = 0.1, 0.5
_MIN_VALUES_WITH_UNIT = 3
_MAX_LISTED_CODES = 5
_FIRST_CELLS = 1000
_BOOLEAN_NUMBERS = ("0", "0.0", "1", "1.0")
_TRUE = ("true", "1", "1.0")


@dataclass(frozen=True)
class TextRules:
    """What was stated about the text columns of a table."""

    table_format: TableFormat
    #: Columns that stay text whatever their cells look like.
    text_columns: Collection[str]
    #: Columns that are expected to be numbers.
    number_columns: Collection[str]
    #: The column of labels, or "".
    target: str
    #: Whether text is the stored type of a text column: then booleans and whole numbers stay text.
    is_typed: bool
    #: Whether some column of the file is known to have decimal commas.
    uses_decimal_comma: bool


def read_text_columns(table: pa.Table, rules: TextRules, skipped: Collection[str]) -> ColumnReadings:
    """Return the table with the text columns that hold numbers or booleans as such, and missing values as missing.

    Args:
        table: The table as it was read.
        rules: What was stated about its text columns.
        skipped: Columns that are not looked at.
    """
    result = ColumnReadings(table)
    uses_decimal_comma = rules.uses_decimal_comma
    unclear: dict[str, tuple[Cells, NumberCells]] = {}
    for name in table.column_names:
        if name in skipped or not pa.types.is_string(table.column(name).type):
            continue
        column = remove_missing(name, table.column(name), rules.table_format, result)
        if name not in rules.text_columns and _read_plain_numbers(name, column, rules, uses_decimal_comma, result):
            continue
        cells = find_cells(name, column, result)
        numbers = None if name in rules.text_columns else _parse_cells(cells, rules, result)
        if numbers is None:
            continue
        readings = _choose(numbers.readings, rules.table_format)
        if len(readings) == 1:
            _set_numbers(cells, readings[0], result)
            uses_decimal_comma |= _has_mark(cells, ",") and readings[0].notation.decimal == ","
        else:
            unclear[name] = cells, numbers
    for cells, numbers in unclear.values():
        _decide(cells, numbers, rules.table_format, uses_decimal_comma, result)
    return result


def _read_plain_numbers(
    name: str, column: pa.ChunkedArray, rules: TextRules, uses_decimal_comma: bool, result: ColumnReadings
) -> bool:
    """Put the numbers of a column whose cells are all plain ones in its place; return False if it has other cells."""
    table_format = rules.table_format
    has_clear_points = not (uses_decimal_comma or table_format.decimal == "," or table_format.thousands == ".")
    numbers = _cast_plain_numbers(column, has_clear_points=has_clear_points)
    if numbers is None:
        return False
    if rules.is_typed and name not in rules.number_columns:
        if pa.types.is_integer(numbers.type):
            return True
        example = quote(column.drop_null()[0])
        result.remarks.append(
            f"column {name!r} is stored as text and read as numbers, such as {example}; to keep text give "
            f"{_expect(name, 'string')}"
        )
    result.replace(name, numbers)
    return True


def _parse_cells(cells: Cells, rules: TextRules, result: ColumnReadings) -> NumberCells | None:
    """Return the cells as numbers; None where they are booleans or text, or unclear, which is added to the result."""
    if not len(cells.values) or (not rules.is_typed and _read_booleans(cells, result)):
        return None
    is_number_expected = cells.name in rules.number_columns
    numbers = parse_numbers(cells.values)
    if not numbers.is_number.any():
        unit = _check_unit(cells, is_number_expected, result)
        if not unit:
            return None
        numbers = parse_numbers(drop_units(cells.values, unit))
    is_clear = _check_mixture(cells, numbers, rules, result)
    return numbers if is_clear and numbers.is_number.any() else None


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


def _check_unit(cells: Cells, is_number_expected: bool, result: ColumnReadings) -> str:
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


def _check_mixture(cells: Cells, parsed: NumberCells, rules: TextRules, result: ColumnReadings) -> bool:
    """Return whether all cells are numbers in one notation; otherwise state or refuse what they are."""
    is_text = ~parsed.is_number
    if is_text.any():
        if cells.name in rules.number_columns:  # the check of the expectations names the cells
            return False
        texts = cells.values.filter(pa.array(is_text)).to_pylist()
        share = cells.counts[parsed.is_number].sum() / cells.counts.sum()
        are_codes = all(text.lower() in MISSING_CODES for text in texts)
        if are_codes or share >= _MIN_CELL_SHARE or parsed.is_number.mean() >= _MIN_VALUE_SHARE:
            advice = _advise_codes(cells.name, texts)
            if cells.name == rules.target and not are_codes:
                advice = f"write each class in one way; {advice}"
            elif not are_codes and all(any(character.isdigit() for character in text) for text in texts):
                advice = f"write these cells as plain numbers; {advice}"
            result.violations.append(cells.violation("holds numbers but is not a number", is_text, advice))
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


def _find_other_notation(cells: Cells) -> Mask:
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
    listed = ", ".join(json.dumps(shorten(text), ensure_ascii=False) for text in texts[:_MAX_LISTED_CODES])
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


def _has_mark(cells: Cells, mark: str) -> bool:
    return bool(pc.any(pc.match_substring(cells.values, mark)).as_py())


def _decide(
    cells: Cells, parsed: NumberCells, table_format: TableFormat, uses_decimal_comma: bool, result: ColumnReadings
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


def _set_numbers(cells: Cells, reading: Reading, result: ColumnReadings) -> None:
    result.replace(cells.name, cells.expand(pa.array(reading.values, from_pandas=True)))
    plain = pc.match_substring_regex(cells.values, r"^[+-]?[0-9]*\.?[0-9]*([eE][+-]?[0-9]+)?$")
    plain = pc.and_(plain, pc.or_(pc.invert(pc.match_substring(cells.values, ".")), reading.notation.decimal == "."))
    if pc.all(plain).as_py():
        return
    other = int(np.argmin(plain.to_numpy(zero_copy_only=False)))
    row = int(np.argmax(cells.indices == other)) + 1
    result.remarks.append(
        f"column {cells.name!r} is read as numbers: {quote(cells.values[other])} (row {row}) is "
        f"{reading.values[other]:.15g}"
    )


def _read_booleans(cells: Cells, result: ColumnReadings) -> bool:
    """Put booleans in the place of true and false, in any case; codes among them are unclear.

    Where some rows have true and false, as Python writes a mixture, 1 and 0 are the same. Return False if the cells are
    something else.
    """
    lower = pc.utf8_lower(cells.values).to_pylist()
    others = sorted({value for value in lower if value not in ("true", "false")})
    if len(others) == len(set(lower)):
        return False
    is_other = np.array([value in others for value in lower])
    texts = cells.values.filter(pa.array(is_other)).to_pylist()
    if all(value in _BOOLEAN_NUMBERS for value in others):
        result.replace(cells.name, cells.expand(pa.array([value in _TRUE for value in lower])))
        if others:
            listed = " and ".join(f"{value!r} is {'true' if value in _TRUE else 'false'}" for value in others)
            result.remarks.append(f"column {cells.name!r} is read as booleans: {listed}")
    elif all(value in MISSING_CODES for value in others):
        advice = _advise_codes(cells.name, texts)
        result.violations.append(cells.violation("holds true and false but is not a boolean", is_other, advice))
    else:
        return False
    return True

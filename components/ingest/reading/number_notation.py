"""Numbers in other notations than `1234.5`: decimal commas, separators of thousands, percent, currency, `(3.50)`.

A notation is chosen for all distinct cells of a column together, and only where they leave one reading.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kfp_edge.ml.arrays import Float64s, Mask

#: Cells, in lower case, that exports write in place of a number.
MISSING_CODES = frozenset(
    (
        *("", "?", "??", "-", "--", "---", ".", "..", "...", "*", "/", "na", "n/a", "n.a.", "k.a.", "k. a.", "<na>"),
        *("nan", "null", "(null)", "none", "nil", "x", "missing", "unknown", "not found", "no data"),
        *(
            "bad",
            "bad input",
            "invalid",
            "error",
            "err",
            "fault",
            "offline",
            "over",
            "under",
            "over range",
            "under range",
        ),
        # Excel
        *("#n/a", "#na", "#div/0!", "#value!", "#ref!", "#num!", "#name?", "#null!"),
        # OSIsoft PI
        *(
            "i/o timeout",
            "calc failed",
            "pt created",
            "shutdown",
            "not connect",
            "no sample",
            "out of serv",
            "comm fail",
        ),
    )
)

_CURRENCY = r"US\$|[$€£¥₹]|CHF|EUR|USD|GBP|INR|Fr\.|Rs\.?|kr\.?"
_BODY = r"[0-9][0-9.,' ]*[0-9.,]|[0-9]|[.,][0-9]+"
_EXPONENT = r"[eEdD][+-]?[0-9]+"
#: Both Python and RE2, which Arrow uses, read this pattern. Spaces, apostrophes and minus signs are normalized before.
_NUMBER = (
    rf"^(?P<open>\()?(?P<sign>[+-])? ?(?P<prefix>{_CURRENCY})? ?(?P<inner>[+-])?(?P<body>{_BODY})"
    rf"(?P<exponent>{_EXPONENT})? ?(?P<suffix>{_CURRENCY}|%|‰)?(?P<minus>-)?(?P<close>\))?$"
)
_WITH_UNIT = (
    rf"^[+-]?(?:{_BODY})(?:{_EXPONENT})? ?(?P<unit>(?:/[A-Za-zµμΩ]|[A-Za-zµμΩ°Åé²³·^*])[A-Za-zµμΩ°Åé/²³·^*0-9-]*)$"
)
#: How exports write spaces, minus signs and apostrophes.
_NORMALIZED = {" ": "[\u00a0\u202f\u2009\u2007]", "-": "[\u2212\u2013]", "'": "[\u2019\u02bc`]"}
_PLAIN = re.compile(r"[+-]?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?")
_PYTHON_NUMBER = re.compile(_NUMBER)


class Notation(NamedTuple):
    """The decimal mark, and the separator of thousands or ""."""

    decimal: str
    thousands: str

    def parameter(self, uses_thousands: bool) -> str:
        """Return the parameter of `ingest` that chooses this notation."""
        mark = {"'": '"\'"', " ": "space"}.get(self.thousands, f'"{self.thousands}"')
        return f"thousands={mark}" if uses_thousands else f'decimal="{self.decimal}"'


@dataclass(frozen=True)
class Reading:
    """The values of distinct cells in one notation, NaN for cells that are no numbers."""

    notation: Notation
    values: Float64s


@dataclass(frozen=True)
class NumberCells:
    """What the distinct cells of a column are as numbers."""

    #: The cells that are numbers in some notation.
    is_number: Mask
    #: Every reading that makes all of these cells numbers, and that differs from the others.
    readings: tuple[Reading, ...]
    #: Percent signs and currencies of the numbers; "" where a number has none.
    affixes: tuple[str, ...]


def looks_like_number(cell: str) -> bool:
    """Return whether a cell is a number in some notation."""
    if _PLAIN.fullmatch(cell):
        return True
    for replacement, pattern in _NORMALIZED.items():
        cell = re.sub(pattern, replacement, cell)
    match = _PYTHON_NUMBER.match(cell)
    return match is not None and any(
        re.match(_notation_pattern(notation), match["body"]) for notation in _list_notations([match["body"]])
    )


def parse_numbers(cells: pa.Array) -> NumberCells:
    """Read distinct cells without spaces around them as numbers."""
    for replacement, pattern in _NORMALIZED.items():
        cells = pc.replace_substring_regex(cells, pattern, replacement)
    fields = pc.extract_regex(cells, _NUMBER)
    body, opened, closed = (pc.struct_field(fields, name) for name in ("body", "open", "close"))
    body = pc.if_else(pc.equal(pc.equal(opened, ""), pc.equal(closed, "")), body, None)
    # a number with an exponent has no groups of thousands
    plain = pc.if_else(pc.equal(pc.struct_field(fields, "exponent"), ""), None, body)
    masks = {
        notation: _to_mask(pc.match_substring_regex(body, _notation_pattern(notation)))
        & (
            _to_mask(pc.is_null(plain))
            | _to_mask(pc.match_substring_regex(plain, _notation_pattern(Notation(notation.decimal, ""))))
        )
        for notation in _list_notations(_find_marks(body))
    }
    is_number = np.logical_or.reduce(list(masks.values())) if masks else np.zeros(len(cells), dtype=bool)
    readings: list[Reading] = []
    for notation, mask in masks.items():
        if not is_number.any() or not mask[is_number].all():
            continue
        values = _compute_values(fields, body, notation, is_number)
        if not any(np.array_equal(values, reading.values, equal_nan=True) for reading in readings):
            readings.append(Reading(notation, values))
    affixes = pc.binary_join_element_wise(pc.struct_field(fields, "prefix"), pc.struct_field(fields, "suffix"), "")
    used = pc.unique(affixes.filter(pa.array(is_number))).to_pylist()
    return NumberCells(is_number, tuple(readings), tuple(sorted(used)))


def find_units(cells: pa.Array) -> list[str]:
    """Return the units of distinct cells if all are numbers with a unit such as `3.5 bar`, else nothing."""
    for replacement, pattern in _NORMALIZED.items():
        cells = pc.replace_substring_regex(cells, pattern, replacement)
    units = pc.struct_field(pc.extract_regex(cells, _WITH_UNIT), "unit")
    return [] if units.null_count else sorted(pc.unique(units).to_pylist())


def drop_units(cells: pa.Array, unit: str) -> pa.Array:
    """Return cells without the unit at their end."""
    return pc.utf8_trim_whitespace(pc.replace_substring_regex(cells, f" ?{re.escape(unit)}$", ""))


def _find_marks(bodies: pa.Array) -> list[str]:
    """Return a text with every mark that the bodies of numbers have."""
    return [mark for mark in ".,' " if pc.any(pc.match_substring(bodies, mark)).as_py()]


def _list_notations(marks: Iterable[str]) -> list[Notation]:
    """Return the notations that these marks allow, the plain one first."""
    text = "".join(marks)
    return [
        Notation(decimal, thousands)
        for decimal in ".,"
        for thousands in ("", *(mark for mark in ".,' " if mark in text and mark != decimal))
        if decimal == "." or "," in text or thousands == "."
    ]


def _notation_pattern(notation: Notation) -> str:
    decimal, thousands = re.escape(notation.decimal), re.escape(notation.thousands)
    plain = rf"[0-9]+(?:{decimal}[0-9]*)?|{decimal}[0-9]+"
    if not thousands:
        return f"^(?:{plain})$"
    # in groups of three, or as in India: 12,34,567
    groups = rf"[1-9][0-9]{{0,2}}(?:{thousands}[0-9]{{3}})+|[1-9][0-9]?(?:{thousands}[0-9]{{2}})+{thousands}[0-9]{{3}}"
    return rf"^(?:{plain}|(?:{groups})(?:{decimal}[0-9]*)?)$"


def _to_mask(matches: pa.Array) -> Mask:
    return np.asarray(pc.fill_null(matches, False).to_numpy(zero_copy_only=False))


def _compute_values(fields: pa.Array, body: pa.Array, notation: Notation, is_number: Mask) -> Float64s:
    digits = pc.if_else(pa.array(is_number), body, None)
    if notation.thousands:
        digits = pc.replace_substring(digits, notation.thousands, "")
    digits = pc.replace_substring(digits, notation.decimal, ".")
    exponent = pc.replace_substring_regex(pc.struct_field(fields, "exponent"), "[dD]", "e")
    values = pc.binary_join_element_wise(digits, exponent, "").cast(pa.float64()).to_numpy(zero_copy_only=False)
    signs = [pc.struct_field(fields, name) for name in ("sign", "inner", "minus")]
    minuses = sum(_to_mask(pc.equal(sign, "-")).astype(np.int64) for sign in signs)
    negative = (minuses % 2 == 1) | _to_mask(pc.not_equal(pc.struct_field(fields, "open"), ""))
    return np.asarray(np.where(negative, -values, values), dtype=np.float64)

"""The cells of a text column, with the codes for missing values removed, and what is found out about the columns."""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kfp_edge.components.ingest.columns.schema import Violation
from kfp_edge.components.ingest.reading.table_format import TableFormat
from kfp_edge.ml.arrays import Mask

#: Cells that are missing in every column, as in pandas and R.
STANDARD_CODES = frozenset(
    (
        *("NA", "N/A", "#N/A", "#N/A N/A", "#NA", "<NA>", "n/a", "NULL", "null", "NaN", "nan", "-NaN", "-nan"),
        *("1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"),
    )
)
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
class Cells:
    """The cells of one text column by their distinct values, codes for missing values left out."""

    name: str
    values: pa.Array
    #: Index into `values` for each row, -1 where the cell is missing.
    indices: np.ndarray[tuple[int], np.dtype[np.int64]]

    @property
    def counts(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """The number of rows of each distinct cell."""
        return np.bincount(self.indices[self.indices >= 0], minlength=len(self.values))

    def expand(self, values: pa.Array) -> pa.ChunkedArray:
        """Return a column with a value for each row from one for each distinct cell."""
        return pa.chunked_array([values.take(pa.array(self.indices, mask=self.indices < 0))])

    def violation(self, problem: str, which: Mask, remedy: str) -> Violation:
        """Return a violation in the rows whose distinct cells `which` selects."""
        rows = self.indices >= 0
        rows[rows] = which[self.indices[rows]]
        row = int(np.argmax(rows))
        return Violation(
            self.name, problem, int(rows.sum()), row + 1, quote(self.values[self.indices[row]]), remedy=remedy
        )


def remove_missing(
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


def find_cells(name: str, column: pa.ChunkedArray, result: ColumnReadings) -> Cells:
    """Return the distinct cells without spaces around them; a column that had any is replaced."""
    encoded = pc.dictionary_encode(column).unify_dictionaries()
    distinct = encoded.chunk(0).dictionary if encoded.num_chunks else pa.array([], pa.string())
    indices = np.concatenate(
        [pc.fill_null(chunk.indices, -1).to_numpy() for chunk in encoded.chunks] or [np.array([], np.int64)]
    ).astype(np.int64)
    trimmed = pc.utf8_trim_whitespace(distinct)
    codes = pc.is_in(trimmed, pa.array(sorted(STANDARD_CODES | {""})))
    if trimmed.equals(distinct) and not pc.any(codes).as_py():
        return Cells(name, distinct, indices)
    values = pc.unique(trimmed.filter(pc.invert(codes)))
    positions = pc.fill_null(pc.index_in(trimmed, values), -1).to_numpy().astype(np.int64)
    cells = Cells(name, values, np.where(indices >= 0, positions[indices], -1))
    result.replace(name, cells.expand(values))
    padded = pc.and_(pc.not_equal(trimmed, distinct), pc.not_equal(trimmed, ""))
    if pc.any(padded).as_py():
        result.remarks.append(
            f"column {name!r}: spaces removed around cells such as {quote(distinct.filter(padded)[0])}"
        )
    return cells


def quote(cell: pa.Scalar) -> str:
    """Return a cell as it stands in a message."""
    return repr(shorten(str(cell.as_py())))


def shorten(text: str) -> str:
    """Return the beginning of a text."""
    return text if len(text) <= _MAX_CELL_LENGTH else f"{text[:_MAX_CELL_LENGTH]}..."

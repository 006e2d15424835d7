"""Headers among the rows of a table, where files were appended to each other or have one that was not expected."""

import functools

import pyarrow as pa
import pyarrow.compute as pc

from kfp_edge.components.ingest.reading.sources import SourceTable
from kfp_edge.errors import DataError

#: What may stand around a name: spaces, and the byte order mark of a file that was appended.
_NOT_OF_NAME = " \t\ufeff"


def refuse_header_rows(source: SourceTable) -> None:
    """Check that no row repeats the names of the columns.

    Raises:
        DataError: one does; every column is text then, which hides the numbers.
    """
    names = source.table.column_names
    columns = source.table.columns
    if source.is_typed or not columns or not all(pa.types.is_string(column.type) for column in columns):
        return
    is_header = functools.reduce(
        pc.and_,
        (
            pc.fill_null(pc.equal(pc.utf8_trim(column, _NOT_OF_NAME), name), False)
            for name, column in zip(names, columns, strict=True)
        ),
    )
    count = pc.sum(is_header).as_py() or 0
    if not count:
        return
    row = pc.index(is_header, True).as_py() + 1
    more = f", and so do {count - 1:,} more" if count > 1 else ""
    raise DataError(
        f"row {row:,} of {source.name} repeats the header ({', '.join(names[:4])}{', ...' if len(names) > 4 else ''})"
        f"{more}; delete it, or give the tables as files of one folder."
    )

"""Reading CSV and Parquet, one file or a folder of parts, into one table."""

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from kfp_edge.errors import DataError

_FORMATS = {".csv": "CSV", ".parquet": "Parquet", ".pq": "Parquet"}
#: pyarrow infers the type of a CSV column from one block, so the whole file must be one.
_MAX_BLOCK_SIZE = 2**31 - 1
_GZIP_MAGIC, _ZIP_MAGIC, _PARQUET_MAGIC = b"\x1f\x8b", b"PK", b"PAR1"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def list_parts(folder: Path, folder_name: str) -> dict[str, Path]:
    """Return the data files in a folder by name, sorted; names that begin with a dot or an underscore are skipped.

    Raises:
        DataError: there is none, or the folder has files of both formats.
    """
    files = {}
    for file in sorted(folder.rglob("*")):
        relative = file.relative_to(folder)
        if file.suffix.lower() in _FORMATS and not any(part.startswith((".", "_")) for part in relative.parts):
            files[f"{folder_name.rstrip('/')}/{relative.as_posix()}"] = file
    if not files:
        raise DataError(f"the folder {folder_name} contains no .csv or .parquet file; check the address.")
    if len({_FORMATS[file.suffix.lower()] for file in files.values()}) > 1:
        raise DataError(f"the folder {folder_name} contains CSV and Parquet files; give a folder of one format.")
    return files


def read_parts(
    files: Mapping[str, Path], name: str, text_columns: Collection[str]
) -> tuple[pa.Table, pa.ChunkedArray | None]:
    """Return the rows of all files, which have the same columns, in the order of the files, and each row's file.

    The file is named relative to the folder and without its suffix, such as `2024/run1`; None for a single file.

    Args:
        files: The files by the names that error messages use.
        name: The name of the whole data.
        text_columns: Columns of a CSV that stay text although their cells look like numbers.

    Raises:
        DataError: a file cannot be read, or the files have different columns or types.
    """
    tables = {file_name: _read_file(path, file_name, text_columns) for file_name, path in files.items()}
    if len(tables) == 1:
        return next(iter(tables.values())), None
    return _concatenate(tables, name), _name_files(tables, name)


def _name_files(tables: Mapping[str, pa.Table], name: str) -> pa.ChunkedArray:
    """Return the file that each row of the concatenated tables comes from."""
    prefix = f"{name.rstrip('/')}/"
    names = [Path(file_name.removeprefix(prefix)).with_suffix("").as_posix() for file_name in tables]
    indices = np.repeat(np.arange(len(names), dtype=np.int32), [table.num_rows for table in tables.values()])
    return pa.chunked_array([pa.DictionaryArray.from_arrays(pa.array(indices), pa.array(names, pa.string()))])


def _read_file(path: Path, name: str, text_columns: Collection[str]) -> pa.Table:
    try:
        with path.open("rb") as stream:
            magic = stream.read(4)
    except OSError as error:
        raise DataError(f"cannot read {name}: {error.strerror}.") from error
    if not magic:
        raise DataError(f"{name} is empty; give a CSV or Parquet file with rows.")
    if magic[:2] in (_GZIP_MAGIC, _ZIP_MAGIC):
        raise DataError(f"{name} is compressed; unpack it, or save it as Parquet, which is compressed inside.")
    if magic[:2] in _UTF16_MARKS:
        raise DataError(f"{name} is UTF-16 text; save it as CSV in UTF-8.")
    table = _read_parquet(path, name) if magic == _PARQUET_MAGIC else _read_csv(path, name, text_columns)
    duplicates = sorted({column for column in table.column_names if table.column_names.count(column) > 1})
    if duplicates:
        raise DataError(f"{name} has two columns named {duplicates[0]!r}; rename one of them.")
    return table


def _read_parquet(path: Path, name: str) -> pa.Table:
    try:
        table = pq.ParquetFile(path).read()
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{name} is damaged Parquet, perhaps cut short; copy it again.") from error
    for index, field in enumerate(table.schema):
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
            kind = pa.string()
        if kind != field.type:
            table = table.set_column(index, field.name, table.column(index).cast(kind))
    # pandas writes its index as columns of these names
    return table.drop_columns([column for column in table.column_names if column.startswith("__index_level_")])


def _read_csv(path: Path, name: str, text_columns: Collection[str]) -> pa.Table:
    read = pcsv.ReadOptions(block_size=min(path.stat().st_size + 1, _MAX_BLOCK_SIZE))
    parse = pcsv.ParseOptions(newlines_in_values=True)
    convert = pcsv.ConvertOptions(
        strings_can_be_null=True,
        column_types={column: pa.string() for column in text_columns},
    )
    try:
        table = pcsv.read_csv(path, read, parse, convert)
        names = table.column_names
    except pa.ArrowInvalid as error:
        raise DataError(f"{name} is not a CSV file that can be read ({_first_line(error)}).") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{name} is not text in UTF-8; save it as CSV in UTF-8.") from error
    if len(names) == 1 and any(separator in names[0] for separator in ";\t"):
        raise DataError(f"{name} has only the column {names[0]!r}; separate the columns by commas.")
    return table


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].removesuffix(".")


def _concatenate(tables: Mapping[str, pa.Table], name: str) -> pa.Table:
    (first_name, first), *others = tables.items()
    for other_name, table in others:
        different = set(table.column_names) ^ set(first.column_names)
        if different:
            raise DataError(
                f"{other_name} and {first_name} do not have the same columns "
                f"({min(different)!r} is only in one of them)."
            )
    parts = [table.select(first.column_names) for table in tables.values()]
    try:
        return pa.concat_tables(parts, promote_options="permissive")
    except pa.ArrowException as error:
        raise DataError(
            f"the parts of {name} do not have the same types ({_first_line(error)}); "
            "correct the cells of the part that differs."
        ) from error

"""Reading CSV and Parquet, one file or a folder of parts, into one table."""

import dataclasses
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kfp_edge.components.ingest.reading.arrow_columns import is_number
from kfp_edge.components.ingest.reading.csv_header import NoHeaderError
from kfp_edge.components.ingest.reading.csv_table import read_csv
from kfp_edge.components.ingest.reading.plain_text import PlainFile, collapse_spaces, prepare
from kfp_edge.components.ingest.reading.table_format import TableFormat
from kfp_edge.errors import DataError, ParameterError

_CSV_SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".zip")
PARQUET_SUFFIXES = (".parquet", ".pq")


@dataclass(frozen=True)
class ReadOptions:
    """How files are read: what was stated about them, and which columns need care."""

    table_format: TableFormat = field(default_factory=TableFormat)
    #: Columns of a CSV that stay text although their cells look like numbers.
    text_columns: tuple[str, ...] = ()
    #: Columns whose integers keep all their digits, such as labels and groups.
    exact_columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class FilesTable:
    """The rows of all files, and how they were read."""

    table: pa.Table
    #: For each row the name of its file, relative to the folder and without suffix; None for a single file.
    file_names: pa.ChunkedArray | None
    remarks: tuple[str, ...]
    is_parquet: bool
    uses_decimal_comma: bool


@dataclass(frozen=True)
class _Part:
    table: pa.Table
    plain: PlainFile
    remarks: tuple[str, ...] = ()
    uses_decimal_comma: bool = False


def list_parts(folder: Path, folder_name: str) -> dict[str, Path]:
    """Return the data files in a folder by name, sorted; hidden files and those of open workbooks are skipped.

    Raises:
        DataError: there is none, or the folder has files of both formats.
    """
    files = {}
    for file in sorted(folder.rglob("*")):
        relative = file.relative_to(folder)
        if _find_suffix(file) and not any(part.startswith((".", "_", "~$")) for part in relative.parts):
            files[f"{folder_name.rstrip('/')}/{relative.as_posix()}"] = file
    if not files:
        others = sorted(file.name for file in folder.rglob("*") if file.is_file() and not file.name.startswith("."))
        advice = (
            f"if its files, such as {others[0]!r}, are tables rename them to .csv" if others else "check the address"
        )
        raise DataError(f"the folder {folder_name} contains no .csv or .parquet file; {advice}.")
    if len({_find_suffix(file) in PARQUET_SUFFIXES for file in files.values()}) > 1:
        raise DataError(f"the folder {folder_name} contains CSV and Parquet files; give a folder of one format.")
    return files


def _find_suffix(file: Path) -> str:
    """Return the suffix of a file by which it is a table, "" for other files."""
    name = file.name.lower()
    return next((suffix for suffix in (*_CSV_SUFFIXES, *PARQUET_SUFFIXES) if name.endswith(suffix)), "")


def read_parts(
    files: Mapping[str, Path], name: str, options: ReadOptions, scratch: Path, unread: Collection[Path] = ()
) -> FilesTable:
    """Return the rows of all files, which have the same columns, in the order of the files.

    Args:
        files: The files by the names that error messages use.
        name: The name of the whole data.
        options: How they are read.
        scratch: Folder for unpacked files.
        unread: Those Parquet files of which only the columns are read, and no row.

    Raises:
        DataError: a file cannot be read, or the files have different columns or types.
        ParameterError: something was stated that only CSV files have.
    """
    parts: dict[str, _Part] = {}
    for file_name, path in files.items():
        try:
            parts[file_name] = _read_part(path, file_name, options, scratch, has_rows=path not in unread)
        except NoHeaderError as error:
            if not parts:
                raise
            raise DataError(f"{file_name} has no header, and {next(iter(parts))} has one; add it.") from error
    remarks = Counter(remark for part in parts.values() for remark in part.remarks)
    first = next(iter(parts.values()))
    return FilesTable(
        first.table if len(parts) == 1 else _concatenate(parts, name, options),
        None if len(parts) == 1 else _name_files(parts, name),
        tuple(remark if count == 1 else f"{remark}, in {count} files" for remark, count in remarks.items()),
        first.plain.is_parquet,
        any(part.uses_decimal_comma for part in parts.values()),
    )


def _read_part(path: Path, name: str, options: ReadOptions, scratch: Path, *, has_rows: bool) -> _Part:
    plain = prepare(path, name, options.table_format.encoding, scratch)
    if options.table_format.separator_character == " " and not plain.is_parquet:
        plain = dataclasses.replace(plain, path=collapse_spaces(plain.path, scratch))
    part = _read_parquet(plain, name, options, has_rows) if plain.is_parquet else _read_csv(plain, name, options)
    columns = part.table.column_names
    duplicates = sorted(column for column, count in Counter(columns).items() if count > 1)
    if duplicates:
        what = f"named {duplicates[0]!r}; rename" if duplicates[0] else "without a name; name"
        raise DataError(f"{name} has two columns {what} one of them.")
    return part


def _read_csv(plain: PlainFile, name: str, options: ReadOptions) -> _Part:
    csv = read_csv(plain.path, name, options.table_format, options.text_columns, options.exact_columns)
    return _Part(csv.table, plain, (*plain.remarks, *csv.remarks), csv.uses_decimal_comma)


def _read_parquet(plain: PlainFile, name: str, options: ReadOptions, has_rows: bool) -> _Part:
    if options.table_format.csv_parameters:
        raise ParameterError(f"{options.table_format.csv_parameters[0]} is for CSV files, and {name} is Parquet.")
    try:
        file = pq.ParquetFile(plain.path)
        table = file.read() if has_rows else file.read_row_groups([])
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{name} is damaged Parquet, perhaps cut short; copy it again.") from error
    for index, column in enumerate(table.schema):
        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
            kind = pa.string()
        if pa.types.is_float16(kind):  # few functions of Arrow take it
            kind = pa.float32()
        if kind != column.type:
            table = table.set_column(index, column.name, table.column(index).cast(kind))
        elif pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            table = table.set_column(index, column.name, _decode_text(table.column(index)))
    # pandas writes its index as columns of these names; times of the rows may be the only ones
    index_columns = [
        column.name
        for column in table.schema
        if column.name.startswith("__index_level_") and not pa.types.is_timestamp(column.type)
    ]
    return _Part(table.drop_columns(index_columns), plain, plain.remarks)


def _decode_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column of bytes as text if it is text in UTF-8, as some programs write it."""
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:
        return column


def _concatenate(parts: Mapping[str, _Part], name: str, options: ReadOptions) -> pa.Table:
    (first_name, first), *others = parts.items()
    for other_name, part in others:
        _check_columns(other_name, part.table.column_names, first_name, first.table.column_names)
    mixed = () if first.plain.is_parquet else _find_mixed_columns(parts.values(), first.table.column_names)
    tables = []
    for part_name, part in parts.items():
        table = part.table
        if mixed:
            # whether such cells are numbers is decided for all files together
            as_text = dataclasses.replace(options, text_columns=(*options.text_columns, *mixed))
            table = _read_csv(part.plain, part_name, as_text).table
        tables.append(table.select(first.table.column_names))
    try:
        return pa.concat_tables(map(_to_utc, tables), promote_options="permissive")
    except pa.ArrowException as error:
        raise _describe_different_types(parts) from error


def _check_columns(name: str, columns: Sequence[str], first_name: str, first_columns: Sequence[str]) -> None:
    lacking, extra = sorted(set(first_columns) - set(columns)), sorted(set(columns) - set(first_columns))
    if not lacking and not extra:
        return
    if len(lacking) == len(set(first_columns)):
        raise DataError(
            f"{name} has no header, and {first_name} has one, or other columns; add the same header to both."
        )
    column = (extra or lacking)[0]
    has, has_not = (name, first_name) if extra else (first_name, name)
    more = len(lacking) + len(extra) - 1
    raise DataError(
        f"{has} has the column {column!r} and {has_not} has not{f' ({more} more differ)' if more else ''}; write the "
        "same columns in all files, empty where there are no values."
    )


def _to_utc(table: pa.Table) -> pa.Table:
    """Return the table with times of every zone in UTC, which are the same times."""
    for index, column in enumerate(table.schema):
        if pa.types.is_timestamp(column.type) and column.type.tz:
            utc = pa.timestamp(column.type.unit, "UTC")
            table = table.set_column(index, column.name, table.column(index).cast(utc))
    return table


def _describe_different_types(parts: Mapping[str, _Part]) -> DataError:
    """Return the error for the first column whose types have none in common."""
    (first_name, first), *others = parts.items()
    for other_name, part in others:
        for column in first.table.schema:
            types = column.type, part.table.schema.field(column.name).type
            try:
                pa.unify_schemas([pa.schema([("", kind)]) for kind in types], promote_options="permissive")
            except pa.ArrowException:
                return DataError(
                    f"column {column.name!r} is {types[0]} in {first_name} and {types[1]} in {other_name}; write it "
                    "with one type in all files."
                )
    return DataError(
        f"the files beginning with {first_name} do not have the same types; write them with the same ones."
    )


def _find_mixed_columns(parts: Iterable[_Part], columns: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that are of one kind in some files and of another kind in others; empty ones have none."""
    kinds: dict[str, set[str]] = {column: set() for column in columns}
    for part in parts:
        for column in part.table.schema:
            if not pa.types.is_null(column.type):
                kinds[column.name].add("number" if is_number(column.type) else str(column.type))
    return tuple(column for column, its_kinds in kinds.items() if len(its_kinds) > 1)


def _name_files(parts: Mapping[str, _Part], name: str) -> pa.ChunkedArray:
    """Return the file that each row of the concatenated tables comes from."""
    prefix = f"{name.rstrip('/')}/"
    relative = [file_name.removeprefix(prefix) for file_name in parts]
    names = [file_name.removesuffix(file_name[-len(_find_suffix(Path(file_name))) :]) for file_name in relative]
    if len(set(names)) < len(names):
        names = relative
    indices = np.repeat(np.arange(len(names), dtype=np.int32), [part.table.num_rows for part in parts.values()])
    return pa.chunked_array([pa.DictionaryArray.from_arrays(pa.array(indices), pa.array(names, pa.string()))])

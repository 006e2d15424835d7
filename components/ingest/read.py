"""Reading CSV and Parquet, one file or a folder of parts, into one table with its hash."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from kfp_edge.components.ingest import synthetic
from kfp_edge.errors import KfpEdgeError
from kfp_edge.storage.fetch import fetch
from kfp_edge.storage.files import sha256_bytes, sha256_file
from kfp_edge.storage.urls import redacted_url

_KINDS = {".csv": "CSV", ".parquet": "Parquet", ".pq": "Parquet"}
#: What pyarrow takes as one block, so that a column's type is told from all of its cells.
_LARGEST_BLOCK = 2**31 - 1


@dataclass(frozen=True)
class SourceTable:
    """All rows of the data as they came."""

    #: A pyarrow Table.
    table: Any
    #: SHA-256 of the file's bytes; for a folder of the sorted lines "name sha256"; for generated data of
    #: the CSV that would hold it.
    sha256: str
    #: The address without secrets.
    name: str


def read(uri: str, folder: Path, text_columns: Collection[str] = ()) -> SourceTable:
    """Bring the data at `uri` here and read it.

    Args:
        uri: What `kfp_edge.storage.fetch.fetch` takes, or `synthetic:ai4i?rows=10000&seed=0`.
        folder: Where downloads go.
        text_columns: Columns of a CSV that stay text although their cells look like numbers.

    Raises:
        KfpEdgeError: there is nothing, it is empty, has no rows, is damaged, or names a column twice.
    """
    if uri.startswith(synthetic.SCHEME):
        table = synthetic.generate(uri)
        sink = pa.BufferOutputStream()
        pcsv.write_csv(table, sink)
        return SourceTable(table, sha256_bytes(sink.getvalue().to_pybytes()), uri)
    path = fetch(uri, folder)
    files = _parts(path, redacted_url(uri)) if path.is_dir() else {redacted_url(uri): path}
    tables = {name: _read_file(file, name, text_columns) for name, file in files.items()}
    table = next(iter(tables.values())) if len(tables) == 1 else _joined(redacted_url(uri), tables)
    if table.num_rows == 0:
        raise KfpEdgeError(f"{redacted_url(uri)} has a header and no rows; give data with rows.")
    return SourceTable(table, _sha256(path, list(files.values())), redacted_url(uri))


def _sha256(path: Path, files: list[Path]) -> str:
    if path.is_file():
        return sha256_file(path)
    lines = [f"{file.relative_to(path).as_posix()} {sha256_file(file)}\n" for file in files]
    return sha256_bytes("".join(lines).encode())


def _parts(folder: Path, shown_name: str) -> dict[str, Path]:
    """Return the data files in a folder by name, sorted; what begins with a dot or an underscore is no data."""
    files = {}
    for file in sorted(folder.rglob("*")):
        relative = file.relative_to(folder)
        if file.suffix.lower() in _KINDS and not any(part.startswith((".", "_")) for part in relative.parts):
            files[f"{shown_name.rstrip('/')}/{relative.as_posix()}"] = file
    kinds = {_KINDS[file.suffix.lower()] for file in files.values()}
    if not files:
        raise KfpEdgeError(f"the folder {shown_name} holds no .csv or .parquet file; check the address.")
    if len(kinds) > 1:
        raise KfpEdgeError(f"the folder {shown_name} holds CSV and Parquet files; give a folder of one kind.")
    return files


def _read_file(path: Path, name: str, text_columns: Collection[str]) -> Any:
    try:
        with path.open("rb") as stream:
            start = stream.read(4)
    except OSError as error:
        raise KfpEdgeError(f"cannot read {name}: {error.strerror}.") from error
    if not start:
        raise KfpEdgeError(f"{name} is empty; give a CSV or Parquet file with rows.")
    if start[:2] in (b"\x1f\x8b", b"PK"):
        raise KfpEdgeError(f"{name} is compressed; unpack it, or save it as Parquet, which is compressed inside.")
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise KfpEdgeError(f"{name} is UTF-16 text; save it as CSV in UTF-8.")
    table = _read_parquet(path, name) if start == b"PAR1" else _read_csv(path, name, text_columns)
    twice = sorted({column for column in table.column_names if table.column_names.count(column) > 1})
    if twice:
        raise KfpEdgeError(f"{name} has two columns named {twice[0]!r}; rename one of them.")
    return table


def _read_parquet(path: Path, name: str) -> Any:
    try:
        table = pq.ParquetFile(path).read()
    except (pa.ArrowException, OSError) as error:
        raise KfpEdgeError(f"{name} is damaged Parquet, perhaps cut short; copy it again.") from error
    for place, field in enumerate(table.schema):
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
            kind = pa.string()
        if kind != field.type:
            table = table.set_column(place, field.name, table.column(place).cast(kind))
    # The row labels that pandas adds are no data.
    return table.drop_columns([label for label in table.column_names if label.startswith("__index_level_")])


def _read_csv(path: Path, name: str, text_columns: Collection[str]) -> Any:
    read = pcsv.ReadOptions(block_size=min(path.stat().st_size + 1, _LARGEST_BLOCK))
    parse = pcsv.ParseOptions(newlines_in_values=True)
    convert = pcsv.ConvertOptions(
        strings_can_be_null=True,
        column_types={column: pa.string() for column in text_columns},
    )
    try:
        table = pcsv.read_csv(path, read, parse, convert)
        names = table.column_names
    except pa.ArrowInvalid as error:
        raise KfpEdgeError(f"{name} is not a CSV file that can be read ({_reason(error)}).") from error
    except UnicodeDecodeError as error:
        raise KfpEdgeError(f"{name} is not text in UTF-8; save it as CSV in UTF-8.") from error
    if len(names) == 1 and any(mark in names[0] for mark in ";\t"):
        raise KfpEdgeError(f"{name} has only the column {names[0]!r}; separate the columns by commas.")
    return table


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0].removesuffix(".")


def _joined(folder: str, tables: dict[str, Any]) -> Any:
    (first_name, first), *others = tables.items()
    for name, table in others:
        differs = set(table.column_names) ^ set(first.column_names)
        if differs:
            raise KfpEdgeError(
                f"{name} and {first_name} do not have the same columns ({min(differs)!r} is only in one of them)."
            )
    parts = [table.select(first.column_names) for table in tables.values()]
    try:
        return pa.concat_tables(parts, promote_options="permissive")
    except pa.ArrowException as error:
        raise KfpEdgeError(
            f"the parts of {folder} do not have the same types ({_reason(error)}); correct the cells of the odd one."
        ) from error

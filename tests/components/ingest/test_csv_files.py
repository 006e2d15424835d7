"""CSV files as spreadsheets, loggers and statistics programs write them: read with a stated reason, or one sentence."""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Mapping

import pandas as pd
import pytest

from kfp_edge.components.ingest.reading import plain_text
from kfp_edge.components.ingest.reading.table_format import TableFormat
from kfp_edge.errors import DataError
from support.ingest import IngestRunner, table

CSV = table().to_csv(index=False)
HEADER, ROWS = CSV.split("\n", 1)
GERMAN = table().to_csv(index=False, sep=";", decimal=",")


def tar_file(content: str) -> bytes:
    """Return a tar archive of one CSV file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("data.csv")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content.encode()))
    return buffer.getvalue()


def zip_files(files: Mapping[str, str]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return content.getvalue()


def assert_read_like_plain(runner: IngestRunner, content: str | bytes, name: str = "data.csv", **options: str) -> None:
    """Check that a file gives the same rows as the plain CSV."""
    parts = runner.run(runner.write(content, name), table_format=TableFormat(**options))  # type: ignore[arg-type]
    plain = runner.run(runner.write(CSV, "plain.csv"))
    pd.testing.assert_frame_equal(parts.train.frame, plain.train.frame)


# --- separators and decimal marks


@pytest.mark.parametrize(
    ("content", "remark"),
    [
        (GERMAN, "separator ';' (the header has 5 of them)"),
        (GERMAN, "decimal ',' (column 'load' has '0,0')"),
        (table().to_csv(index=False, sep="\t"), r"separator '\t' (the header has 5 of them)"),
        (table().to_csv(index=False, sep="|"), "separator '|' (the header has 5 of them)"),
        (f"sep=;\n{GERMAN}", "separator ';' (the first line is 'sep=;')"),
    ],
)
def test_a_separator_is_sniffed_and_the_reason_is_in_log_and_report(
    runner: IngestRunner, capsys: pytest.CaptureFixture[str], content: str, remark: str
) -> None:
    runner.run(runner.write(content))
    assert remark in capsys.readouterr().out
    assert remark in runner.report.read_text()
    assert_read_like_plain(runner, content)


def test_plain_csv_has_nothing_to_remark(runner: IngestRunner) -> None:
    runner.run(runner.write(CSV))
    assert "How it was read" not in runner.report.read_text()


@pytest.mark.parametrize(("separator", "character"), [("#", "#"), ("space", " "), ("tab", "\t")])
def test_a_separator_can_be_given(runner: IngestRunner, separator: str, character: str) -> None:
    content = table().assign(at=range(40)).to_csv(index=False, sep=character)
    features = runner.run(runner.write(content), table_format=TableFormat(separator=separator)).train.roles.features
    assert features == ("type", "speed", "load")


@pytest.mark.parametrize(
    ("content", "options", "messages"),
    [
        ("a,x;b,y;failed\n1,2;3,4;0\n", {}, ("separator=, (3 columns)", "separator=; (3 columns)")),
        ("a b failed\n1 2 0\n3 4 1\n", {}, ("has a single column, 'a b failed'", "separator=space")),
        (CSV, {"separator": ";"}, ("separator is ';'", "has none", "leave separator out")),
    ],
)
def test_an_unclear_separator_is_refused(
    runner: IngestRunner, content: str, options: dict[str, str], messages: tuple[str, ...]
) -> None:
    table_format = TableFormat(**options)  # type: ignore[arg-type]
    runner.assert_refused(runner.write(content), *messages, table_format=table_format)


# --- headers


def test_spaces_around_column_names_are_removed(runner: IngestRunner, capsys: pytest.CaptureFixture[str]) -> None:
    assert_read_like_plain(runner, CSV.replace(",", ", "))
    assert "spaces removed around 5 column names, such as ' site'" in capsys.readouterr().out


def test_a_file_without_a_header_is_refused_until_its_columns_are_named(runner: IngestRunner) -> None:
    content = "".join(f"{row}.5,{row % 7},{row % 2}\n" for row in range(40))
    names = ("speed", "load", "failed")
    runner.assert_refused(runner.write(content), "has no header: its first line is 0.5, 0, 0", "column_names", drop=())
    parts = runner.run(runner.write(content), drop=(), table_format=TableFormat(column_names=names))
    assert len(parts.train.frame) + len(parts.test.frame) == 40


@pytest.mark.parametrize(
    ("names", "message"),
    [(("a", "b"), "has 6 columns and column_names has 2 names"), (("a", "a"), "column_names has a name twice")],
)
def test_column_names_that_do_not_fit_are_refused(runner: IngestRunner, names: tuple[str, ...], message: str) -> None:
    runner.assert_refused(runner.write(ROWS), message, table_format=TableFormat(column_names=names))


@pytest.mark.parametrize("name", ["speed", "rpm"])
def test_a_header_below_column_names_is_named_in_one_short_sentence(runner: IngestRunner, name: str) -> None:
    rows = "".join(f"{'' if row == 7 else row}.5,{row % 7},{row % 2}\n" for row in range(40)).replace("\n.5", "\n")
    data = runner.write("speed,load,failed\n" + rows)
    expected = f"row 1 of {data} looks like a header (speed, load, failed); leave column_names out, or delete that row."
    names = TableFormat(column_names=(name, "load", "failed"))
    with pytest.raises(DataError) as caught:
        runner.run(data, drop=(), table_format=names)
    assert str(caught.value) == expected


def test_a_declared_code_in_the_first_row_is_no_header(runner: IngestRunner) -> None:
    rows = "".join(f"{'off' if row % 9 == 0 else row},{'AB'[row % 2]},{row % 2}\n" for row in range(40))
    table_format = TableFormat(column_names=("speed", "kind", "failed"), missing_values=("off",))
    parts = runner.run(runner.write(rows), drop=(), table_format=table_format)
    assert len(parts.train.frame) + len(parts.test.frame) == 40


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f"Report of line 3\n\n{CSV}", "begins with 'Report of line 3', and its header is line 3 or later"),
        ("a,b,failed\n°C,bar,-\n" + "1,2,0\n3,4,1\n" * 9, "the second is '°C, bar, -'"),
        ('"a","failed"\n' + '"1",2,0\n"2",3,1\n' * 9, "one field more than its header, perhaps a row name"),
        ("a, a,failed\n1,2,0\n", "two columns named 'a'"),
        ("Unnamed: 0,a,failed\n" + "0,2,0\n1,3,1\n" * 9, "'Unnamed: 0' has the name that pandas gives to row labels"),
    ],
)
def test_lines_that_are_no_header_are_refused(runner: IngestRunner, content: str, message: str) -> None:
    runner.assert_refused(runner.write(content), message, drop=())


# --- columns and rows without content


@pytest.mark.parametrize(
    "content",
    [CSV.replace("\n", ",,\n"), f"{HEADER}\n{ROWS.replace(chr(10), ',,' + chr(10))}", f"{HEADER},,\n{ROWS}"],
    ids=["header and rows", "rows", "header"],
)
def test_separators_at_the_end_of_lines_are_no_columns(runner: IngestRunner, content: str) -> None:
    assert_read_like_plain(runner, content)


def test_empty_columns_and_blank_rows_are_left_out_and_counted(
    runner: IngestRunner, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_read_like_plain(runner, CSV.replace("\n", ",,\n") + ",,,,,,,\n" * 3 + "\n\n   \n")
    written = capsys.readouterr().out
    assert "2 empty columns without a name left out" in written
    assert "6 blank rows left out" in written


def test_a_line_of_another_length_is_named(runner: IngestRunner) -> None:
    runner.assert_refused(runner.write(f"{CSV}1,2\n"), "line 42 of", "has 2 fields instead of 6: '1,2'")


# --- encodings


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_an_encoding_with_a_byte_order_mark_is_read(runner: IngestRunner, encoding: str) -> None:
    assert_read_like_plain(runner, CSV.encode(encoding))


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "utf-16-le", "utf-16-be", "UTF8"])
def test_an_encoding_can_be_given(runner: IngestRunner, encoding: str) -> None:
    data = runner.write(CSV.replace("load", "Kühlöl [°C]").encode(encoding))
    features = runner.run(data, table_format=TableFormat(encoding=encoding)).train.roles.features
    assert features == ("type", "speed", "Kühlöl [°C]")


@pytest.mark.parametrize("content", [CSV.replace("load", "Kühlöl [°C]"), CSV.replace(",M,", ",heiß,")])
def test_another_encoding_is_refused_with_its_reading(runner: IngestRunner, content: str) -> None:
    data = runner.write(content.encode("cp1252"))
    runner.assert_refused(data, "is not text in UTF-8 (line", "Windows-1252 would read", "encoding=cp1252")


def test_utf_16_without_a_byte_order_mark_is_refused_by_name(runner: IngestRunner) -> None:
    runner.assert_refused(runner.write(CSV.encode("utf-16-le")), "give encoding=utf-16-le")


def test_a_wrong_encoding_is_refused(runner: IngestRunner) -> None:
    data = runner.write(CSV.replace("load", "Kühlöl").encode("cp1252"))
    runner.assert_refused(data, "is not text in utf-16", table_format=TableFormat(encoding="utf-16"))


# --- archives and other formats


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (gzip.compress(CSV.encode()), "data.csv.gz"),
        (gzip.compress(GERMAN.encode()), "data.csv.gz"),
        (zip_files({"export/data.csv": CSV, "__MACOSX/._data.csv": "x"}), "data.zip"),
        (table().to_csv(index=False, sep="\t"), "data.tsv"),
    ],
    ids=["gzip", "german gzip", "zip", "tsv"],
)
def test_compressed_tables_and_tsv_are_read(runner: IngestRunner, content: bytes, name: str) -> None:
    assert_read_like_plain(runner, content, name)


def test_a_folder_may_hold_compressed_parts(runner: IngestRunner) -> None:
    half = table()[20:].to_csv(index=False)
    runner.write(table()[:20].to_csv(index=False), "parts/a.csv")
    runner.write(gzip.compress(half.encode()), "parts/b.csv.gz")
    parts = runner.run(runner.folder / "parts", split="random")
    whole = runner.run(runner.write(CSV))
    pd.testing.assert_frame_equal(parts.train.frame.drop(columns="file"), whole.train.frame)


def test_a_column_that_is_empty_in_one_part_is_no_conflict(runner: IngestRunner) -> None:
    runner.write(table().assign(type=None, load=None), "parts/a.csv")
    runner.write(table(), "parts/b.csv")
    roles = runner.run(runner.folder / "parts").train.roles
    assert (roles.numeric, roles.categorical) == (("speed", "load"), ("type",))


def test_a_code_in_one_part_is_named_by_its_row(runner: IngestRunner) -> None:
    runner.write(table(), "parts/a.csv")
    runner.write(table().astype({"load": object}).replace({"load": {0.0: "na"}}), "parts/b.csv")
    runner.assert_refused(runner.folder / "parts", "in 1 row (row 1 of b: 'na')", 'missing_values=["na"]')
    parts = runner.run(runner.folder / "parts", table_format=TableFormat(missing_values=("na",)))
    assert "load" in parts.train.roles.numeric


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zip_files({"xl/workbook.xml": "<workbook/>"}), "is an Excel workbook (xlsx); save its sheet as CSV"),
        (zip_files({"mimetype": "x", "content.xml": "x"}), "is an OpenDocument file"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is an Excel workbook (xls); save its sheet as CSV"),
        (zip_files({"a.csv": CSV, "b.csv": CSV}), "is a zip archive of 2 files"),
        (zip_files({"a.csv": CSV})[:-30], "is a damaged zip archive"),
        (gzip.compress(CSV.encode())[:-20], "compressed with gzip and damaged"),
        (b"\xfd7zXZ\x00", "is compressed with xz; unpack it"),
        (b"\x89HDF\r\n", "is HDF5"),
        (b"<!DOCTYPE html><title>Log in</title>", "is an HTML page, perhaps of a login"),
        (b"<TABLE><TR><TD>1", "is HTML or XML; save its table as CSV"),
        (b'{"speed": 1}', "is JSON"),
        (b"@RELATION press\n", "is ARFF"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "get the file with git lfs pull"),
        (b"\x04\x22\x4d\x18abc", "is compressed with lz4"),
        (tar_file(CSV), "holds an archive of its own; unpack it"),
        (gzip.compress(tar_file(CSV)), "holds an archive of its own; unpack it"),
        (gzip.compress(gzip.compress(CSV.encode())), "holds an archive of its own; unpack it"),
        (b"CDF\x01" + bytes(range(256)), "is neither text nor Parquet but of another format"),
    ],
    ids=[
        *(
            "xlsx",
            "ods",
            "xls",
            "zip of two",
            "damaged zip",
            "damaged gzip",
            "xz",
            "hdf5",
            "html",
            "html table",
            "json",
        ),
        *("arff", "git lfs", "lz4", "tar", "tar.gz", "gzip in gzip", "netcdf"),
    ],
)
def test_other_formats_are_refused_by_their_name(runner: IngestRunner, content: bytes, message: str) -> None:
    runner.assert_refused(runner.write(content), message)


def test_a_suffix_that_is_wrong_does_not_matter(runner: IngestRunner) -> None:
    assert len(runner.run(runner.write(CSV, "data.csv.gz")).train.frame) == 32


def test_zero_bytes_are_text_in_utf_16_only_where_every_other_byte_is_zero(runner: IngestRunner) -> None:
    data = runner.write(CSV.encode("utf-16-le"))
    runner.assert_refused(data, "give encoding=utf-16-le")
    assert len(runner.run(data, table_format=TableFormat(encoding="utf-16-le")).train.frame) == 32


def test_an_archive_that_would_fill_the_disk_is_refused(runner: IngestRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_text, "_MAX_UNPACKED_SIZE", 1000)
    runner.assert_refused(runner.write(gzip.compress(CSV.encode())), "unpacks to more than")


# --- parameters


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"separator": "::"}, "separator is '::'; give one character"),
        ({"decimal": ";"}, "decimal is ';'"),
        ({"thousands": "_"}, "thousands is '_'"),
        ({"decimal": ",", "thousands": ","}, "both ','"),
        ({"encoding": "utf-99"}, "encoding 'utf-99' is unknown"),
        ({"encoding": "base64"}, "encoding 'base64' is unknown"),
        ({"time_zone": "Berlin"}, "time_zone 'Berlin' is unknown here"),
        ({"time_format": "dd.mm.yyyy"}, "time_format 'dd.mm.yyyy' has no directive"),
    ],
)
def test_values_that_no_table_has_are_refused(runner: IngestRunner, options: dict[str, str], message: str) -> None:
    table_format = TableFormat(**options)  # type: ignore[arg-type]
    runner.assert_refused(runner.write(CSV), message, table_format=table_format)


def test_parquet_has_no_separator(runner: IngestRunner) -> None:
    table().to_parquet(runner.folder / "data.parquet")
    runner.assert_refused(
        runner.folder / "data.parquet", "separator is for CSV files", table_format=TableFormat(separator=";")
    )


def test_a_header_of_more_than_a_megabyte_is_read(runner: IngestRunner) -> None:
    names = [f"{'sensor' * 200} {index}" for index in range(1000)]
    rows = "".join(f"{','.join(['1'] * 999)},{row},{row % 2}\n" for row in range(12))
    parts = runner.run(runner.write(f"{','.join(names)},failed\n{rows}"), drop=())
    assert len(parts.train.roles.features) == 1000


def test_what_a_reviewer_should_know_is_among_the_warnings(runner: IngestRunner) -> None:
    frame = table().assign(load=[-999 if row % 8 == 0 else row / 8 for row in range(40)])
    warnings = runner.run(runner.write(frame), drop=("site",)).train.preparation.warnings
    assert any("'at' holds timestamps and is left out" in warning for warning in warnings)
    assert any("'load' is -999 in 12% of its rows" in warning for warning in warnings)


@pytest.mark.parametrize("separator", [",", ";"])
def test_a_column_name_may_have_two_lines(runner: IngestRunner, separator: str) -> None:
    content = table().rename(columns={"at": "at\n[UTC]"}).to_csv(index=False, sep=separator)
    assert runner.run(runner.write(content), drop=("at\n[UTC]", "site")).train.roles.numeric == ("speed", "load")


def test_the_report_lists_the_format_that_was_stated(runner: IngestRunner) -> None:
    runner.run(runner.write(table()), table_format=TableFormat(encoding="cp1252", missing_values=("-200",)))
    report = runner.report.read_text()
    assert "- encoding=cp1252 (as given)" in report
    assert "- missing_values=['-200'] (as given)" in report


@pytest.mark.parametrize("rows", [1, 2])
def test_a_header_among_the_rows_is_named(runner: IngestRunner, rows: int) -> None:
    lines = table().to_csv(index=False).splitlines()
    content = "\n".join([*lines[:20], *[lines[0]] * rows, *lines[20:]])
    runner.assert_refused(
        runner.write(content), "row 20 of", "repeats the header (at, site, type, speed, ...)", "delete"
    )


def test_a_copied_file_in_a_folder_is_named(runner: IngestRunner) -> None:
    for name, rows in (("r0.csv", table()), ("r0 - copy.csv", table()), ("r1.csv", table(30))):
        runner.write(rows, f"runs/{name}")
    warnings = runner.run(runner.folder / "runs", drop=("at", "site")).train.preparation.warnings
    assert "the file 'r0.csv' is a copy of 'r0 - copy.csv'; remove one of them" in warnings

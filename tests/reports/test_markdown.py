"""Markdown tables keep their shape whatever a cell contains."""

from hypothesis import given
from hypothesis import strategies as st

from kfp_edge.reports.markdown import format_table, to_plain_text


def test_a_table_has_a_header_a_delimiter_and_a_line_for_each_row() -> None:
    table = format_table(("name", "rows"), [("load", 3), ("speed", 4)])
    assert table.splitlines() == ["| name | rows |", "| --- | --- |", "| load | 3 |", "| speed | 4 |"]


def test_a_table_without_rows_is_a_header() -> None:
    assert format_table(("name",), []).splitlines() == ["| name |", "| --- |"]


def test_a_pipe_in_a_cell_does_not_end_it() -> None:
    assert "a\\|b" in format_table(("name",), [("a|b",)])


def test_markdown_in_a_cell_is_kept() -> None:
    assert "| **failed** |" in format_table(("result",), [("**failed**",)])


@given(text=st.text())
def test_plain_text_stays_on_one_line_and_opens_no_tag(text: str) -> None:
    plain = to_plain_text(text)
    assert len(plain.splitlines()) <= 1
    assert "<" not in plain

"""An HTML report shows text as text and loads nothing."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from kfp_edge.reports.html import Page
from kfp_edge.reports.numbers import format_number


def test_text_is_escaped_everywhere(tmp_path: Path) -> None:
    page = Page("<b>title", "<b>lead").heading("<b>heading").text("<b>text").table(("<b>head",), [("<b>cell",)])
    page.figure(Figure(), "<b>description").write(tmp_path / "page.html")
    assert "<b>" not in (tmp_path / "page.html").read_text()


def test_a_page_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    Page("title", "lead").figure(Figure(), "empty").write(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert 'src="data:image/svg+xml;base64,' in page
    assert "http" not in page


def test_on_a_narrow_screen_cells_wrap_so_that_no_column_is_cut_off(tmp_path: Path) -> None:
    Page("title", "lead").table(("metric",), [("higher is better",)]).write(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert '<meta name="viewport" content="width=device-width' in page
    assert "td.short{white-space:normal}" in page.partition("@media(max-width:")[2]


def test_a_failed_check_stands_out(tmp_path: Path) -> None:
    Page("title", "lead").table(("check", "result"), [("size", "fail")]).write(tmp_path / "page.html")
    assert "<td class=fail>fail</td>" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    ("value", "text"),
    [(3.0, "3"), (12345.0, "12,345"), (0.123456, "0.1235"), (1e12, "1e+12"), (1e-7, "1e-07"), (-0.0, "0")],
)
def test_numbers_have_four_significant_digits_or_are_whole(value: float, text: str) -> None:
    assert format_number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (float("nan"), "missing"),
        (np.float32("nan"), "missing"),
        (None, "missing"),
        (float("inf"), "inf"),
        (np.float32(0.5), "0.5"),
        (np.float64(12345), "12,345"),
    ],
)
def test_cells_that_are_missing_or_not_finite_are_stated(tmp_path: Path, value: object, text: str) -> None:
    Page("title", "lead").table(("value",), [(value,)]).write(tmp_path / "page.html")
    assert f">{text}</td>" in (tmp_path / "page.html").read_text()


def test_a_link_leads_to_another_page_and_is_escaped(tmp_path):
    Page("t", "l").link("the <report>", 'drift/"report".html').write(tmp_path / "page.html")
    expected = '<p><a href="drift/&quot;report&quot;.html">the &lt;report&gt;</a></p>'
    assert expected in (tmp_path / "page.html").read_text()

"""A report looks the same on a busy machine: no plot searches for the best place of its legend."""

import ast
from collections.abc import Iterator
from pathlib import Path

import nbformat
import numpy as np
import pytest
from matplotlib.figure import Figure

from kfp_edge.reports.legends import add_legend
from support.paths import ROOT


def list_sources() -> Iterator[tuple[Path, str]]:
    for folder in ("kfp_edge", "components", "pipelines"):
        sources = ((path, path.read_text()) for path in (ROOT / folder).rglob("*.py"))
        yield from ((path, source) for path, source in sources if "grafana_foundation_sdk" not in source)
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = nbformat.read(path, as_version=4).cells
        yield path, "\n".join(cell.source for cell in cells if cell.cell_type == "code")


def test_every_legend_has_a_place_of_its_own():
    searching = [
        f"{path.relative_to(ROOT)}: {ast.unparse(node)}"
        for path, source in list_sources()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "legend"
        if "loc" not in {keyword.arg for keyword in node.keywords}
    ]
    assert not searching, "give loc= or use add_legend"


@pytest.mark.parametrize("rows", [3, 300])
def test_a_legend_is_above_the_axes_whatever_the_rows_are(rows):
    figure = Figure(layout="constrained")
    axis = figure.subplots()
    axis.plot(np.arange(rows), label="rows")
    add_legend(axis)
    figure.draw_without_rendering()
    assert axis.get_legend().get_window_extent().y0 >= axis.get_window_extent().y1

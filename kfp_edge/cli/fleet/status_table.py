"""The table of `kfp-edge fleet status`."""

from collections.abc import Iterator

import typer

from kfp_edge.fleet.status.presentation import HEADER, row_of
from kfp_edge.fleet.status.status import FleetStatus, State

_COLOURS = {State.NOT_READY: typer.colors.RED, State.DRIFTED: typer.colors.YELLOW, State.CURRENT: typer.colors.GREEN}
_STATE = 1 + HEADER.index("state")


def format_table(status: FleetStatus) -> Iterator[str]:
    """Yield a line for each model of each site, by ring, below a header.

    A fleet may have thousands of sites: rich would take ten seconds for them.
    """
    header = ("ring", *HEADER)
    rows = [(each.site.ring, *row_of(each, status)) for each in status.sites]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    yield _format_line(header, widths)
    for each, row in zip(status.sites, rows, strict=True):
        yield _format_line(row, widths, _COLOURS.get(each.state))


def _format_line(row: tuple[str, ...], widths: list[int], colour: str | None = None) -> str:
    cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
    if colour:
        cells[_STATE] = typer.style(cells[_STATE], fg=colour)
    return "  ".join(cells).rstrip()

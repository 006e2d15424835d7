"""The table of `kfp-edge fleet status`."""

from rich.table import Table

from kfp_edge.fleet.status.presentation import HEADER, row_of
from kfp_edge.fleet.status.status import FleetStatus, State

_STYLES = {State.NOT_READY: "red", State.DRIFTED: "yellow", State.CURRENT: "green"}


def make_table(status: FleetStatus) -> Table:
    """Return a row for each model of each site, by ring."""
    table = Table("ring", *HEADER, box=None, pad_edge=False)
    for each in status.sites:
        cells = list(row_of(each, status.now))
        state = HEADER.index("state")
        if style := _STYLES.get(each.state):
            cells[state] = f"[{style}]{cells[state]}[/]"
        table.add_row(each.site.ring, *cells)
    return table

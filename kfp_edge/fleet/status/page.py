"""The status of a fleet as a page: how each ring stands at a glance, and its sites, the urgent ones first."""

from collections.abc import Sequence
from pathlib import Path

from kfp_edge.fleet.status.presentation import HEADER, format_age, format_image, row_of, summarize
from kfp_edge.fleet.status.status import FleetStatus, SiteStatus, State, count_states
from kfp_edge.reports.html import BLUE, GREEN, GREY, ORANGE, RED, Mark, MarkedCell, Page, Part

_COLOURS = {
    State.NOT_READY: RED,
    State.DRIFTED: ORANGE,
    State.NEVER_SEEN: "#5F6368",
    State.OFFLINE: GREY,
    State.WAITING: BLUE,
    State.CURRENT: GREEN,
}
_MARKS: dict[State, Mark] = {State.NOT_READY: "bad", State.DRIFTED: "bad", State.CURRENT: "good"}

#: How many sites without a model are named.
_NAMES = 20


def write_page(status: FleetStatus, path: Path) -> None:
    """Write the page.

    Raises:
        StorageError: the file system refuses.
    """
    when = status.now.astimezone().strftime("%Y-%m-%d %H:%M %Z")
    lead = f"{summarize(status)}. {when}, commit {status.commit[:12]} of {status.fleet.branch}."
    page = Page(f"Fleet {status.fleet.name}", lead)
    for ring in status.fleet.ring_names:
        sites = status.of_ring(ring)
        page.heading(f"Ring {ring}")
        if idle := [site.name for site in status.without_model if site.ring == ring]:
            more = f" and {len(idle) - _NAMES:,} more" if len(idle) > _NAMES else ""
            page.text(f"Without a model: {', '.join(idle[:_NAMES])}{more}.")
        if not sites:
            page.text("No site of this ring runs a model.")
            continue
        for text in _wanted(sites, status):
            page.text(text)
        page.bar([Part(state, count, _COLOURS[state]) for state, count in count_states(sites).items()])
        page.table(HEADER, [_cells(each, status) for each in sorted(sites, key=_urgency)])
    page.write(path)


def _wanted(sites: Sequence[SiteStatus], status: FleetStatus) -> list[str]:
    releases = {each.model: each.wanted for each in sites}
    return [
        f"{model} should be {format_image(release.image.digest, status.versions)}, for "
        f"{format_age(status.now - release.since)} (commit {release.commit[:12]})."
        for model, release in sorted(releases.items())
    ]


def _cells(each: SiteStatus, status: FleetStatus) -> list[object]:
    cells: list[object] = list(row_of(each, status))
    cells[HEADER.index("state")] = MarkedCell(each.state, _MARKS.get(each.state, "idle"))
    return cells


def _urgency(each: SiteStatus) -> tuple[int, str, str]:
    return list(State).index(each.state), each.site.name, each.model

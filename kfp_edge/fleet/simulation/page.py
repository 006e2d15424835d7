"""The rehearsal as a page: the rollout drawn over time, and what happened."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from kfp_edge.fleet.simulation.clock import START, format_time
from kfp_edge.fleet.simulation.containers import ContainerMachine
from kfp_edge.fleet.simulation.machines import Machine
from kfp_edge.fleet.simulation.models import VERSIONS
from kfp_edge.fleet.simulation.simulation import Simulation
from kfp_edge.fleet.simulation.timeline import Event, Kind
from kfp_edge.reports.html import BLUE, GREEN, GREY, ORANGE, RED, Page
from kfp_edge.wording import count_of

_COLOURS = dict(zip((version.name for version in VERSIONS), (BLUE, GREEN, ORANGE), strict=True))
_OFFLINE = "#5F6368"
_DECISIONS = {Kind.WAIT: (GREY, "o"), Kind.GO_ON: (GREEN, "^"), Kind.ABORT: (RED, "v")}
_MERGES = {Kind.RELEASE: "black", Kind.ROLLBACK: RED}
#: Inches of a row, and of all rows at most.
_ROW, _ALL_ROWS = 0.17, 14.0
#: Rows above a ring's sites, for its decisions.
_ABOVE = 2.6
_DECISION_ROW, _LABEL_ROW = -1.1, -2.1
#: Labels of events later than this before the end are to their left.
_LATE = timedelta(hours=3)
#: Hours between two times below the figure.
_TICK_EVERY = 6
#: Rows lower than this have no names.
_MIN_NAMED = 0.14


def write_page(simulation: Simulation, rings: Sequence[str], path: Path) -> None:
    """Write the page.

    Raises:
        StorageError: the file system refuses.
    """
    machines = simulation.machines
    containers = [machine.site.name for machine in machines if isinstance(machine, ContainerMachine)]
    lead = (
        f"{count_of(len(machines), 'site')} on one machine, {len(containers)} of them with real containers. The time "
        "is simulated. This is a rehearsal, and no replacement for Argo CD."
    )
    page = Page("Rehearsal of a rollout", lead)
    page.figure(_draw(simulation, rings), _describe(simulation))
    page.heading("What happened")
    page.table(("time", "ring", "event", "numbers"), map(_row, simulation.timeline.events))
    page.heading("What was real, and what was not").items(limits(len(machines), containers))
    page.write(path)


def limits(sites: int, containers: Sequence[str]) -> list[str]:
    """Return what a rehearsal shows, and what it does not, one sentence each."""
    named = ", ".join(containers)
    real = f"{named} ran the real server with `podman kube play`, and reported its metrics."
    return [
        "Real: the repository and its commits, kustomize, the images, and the decisions, which are those of `fleet "
        "promote`, `fleet rollback` and `fleet status`.",
        real if containers else "No site ran a container.",
        f"The other {sites - len(containers)} sites pulled and rendered as these do; what they report was recorded."
        if containers
        else "All sites pulled and rendered; what they report was recorded.",
        "Simulated: the time, the network, and the Prometheus. A pull request is a branch that is merged at once.",
        "Sites are those of the Podman variant. Argo CD and Kubernetes take no part: no admission, probes or nodes.",
    ]


def _row(event: Event) -> tuple[str, str, str, str]:
    numbers = ". ".join(f"{line[0].upper()}{line[1:]}" for line in event.details)
    return format_time(event.time), event.ring or "all", event.text, numbers


def _describe(simulation: Simulation) -> str:
    merges = [event for event in simulation.timeline.events if event.kind in _MERGES]
    return "Sites by ring over time, by the version that they run. " + " ".join(
        f"{format_time(event.time)}, {event.ring}: {event.text}." for event in merges
    )


def _draw(simulation: Simulation, rings: Sequence[str]) -> Figure:
    sizes = [len(simulation.of_ring(ring)) + _ABOVE for ring in rings]
    row = min(_ROW, _ALL_ROWS / sum(sizes))
    figure = Figure(figsize=(10.5, row * sum(sizes) + 1.3), layout="constrained")
    panels = figure.subplots(len(rings), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": sizes})
    end = simulation.clock.now
    for axes, ring in zip(panels[:, 0], rings, strict=True):
        _draw_ring(axes, simulation, ring, end, has_names=row >= _MIN_NAMED)
    last = panels[-1, 0]
    times = [START + timedelta(hours=hour) for hour in range(_TICK_EVERY - START.hour % _TICK_EVERY, 1000, _TICK_EVERY)]
    ticks = [time for time in times if time <= end]
    last.set_xticks([_hours(time) for time in ticks], [time.strftime("%H:%M\n%a") for time in ticks])
    last.set_xlim(0, _hours(end))
    figure.legend(handles=_legend(simulation), loc="outside upper left", ncols=4, frameon=False, fontsize=9)
    return figure


def _draw_ring(axes: Axes, simulation: Simulation, ring: str, end: datetime, *, has_names: bool) -> None:
    machines = simulation.of_ring(ring)
    for row, machine in enumerate(machines):
        _draw_site(axes, simulation, machine, row, end)
    events = [event for event in simulation.timeline.events if event.ring == ring]
    for event in events:
        if colour := _MERGES.get(event.kind):
            axes.axvline(_hours(event.time), color=colour, linewidth=1.1)
            is_late = event.time > end - _LATE
            side, gap = ("right", -0.15) if is_late else ("left", 0.15)
            axes.text(_hours(event.time) + gap, _LABEL_ROW, event.label, ha=side, va="center", fontsize=8, color=colour)
        if event.kind in _DECISIONS:
            colour, marker = _DECISIONS[event.kind]
            axes.plot([_hours(event.time)], [_DECISION_ROW], marker, color=colour, markersize=5, clip_on=False)
    axes.set_ylim(len(machines) - 0.4, -_ABOVE)
    axes.set_title(f"ring {ring}", loc="left", fontsize=10, fontweight="bold")
    axes.set_yticks(range(len(machines)) if has_names else [])
    if has_names:
        axes.set_yticklabels([_name(machine) for machine in machines], fontsize=7)
    axes.tick_params(length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _draw_site(axes: Axes, simulation: Simulation, machine: Machine, row: int, end: datetime) -> None:
    changes = [*machine.history, (end, "")]
    for (start, digest), (stop, _) in pairwise(changes):
        colour = _COLOURS.get(simulation.registry.name_of(digest), GREY)
        axes.barh(row, _hours(stop) - _hours(start), left=_hours(start), height=0.8, color=colour)
    for start, until in machine.outages:
        length = _hours(until or end) - _hours(start)
        axes.barh(row, length, left=_hours(start), height=0.8, color="white", alpha=0.65)
        axes.barh(row, length, left=_hours(start), height=0.25, color=_OFFLINE)
    times = [_hours(time) for time in machine.refusals]
    for colour, width in (("white", 3.6), (RED, 1.8)):
        axes.plot(times, [row] * len(times), "x", color=colour, markersize=6, markeredgewidth=width)


def _hours(time: datetime) -> float:
    """Return the hours since the beginning."""
    return (time - START) / timedelta(hours=1)


def _name(machine: Machine) -> str:
    return f"{machine.site.name} \N{BLACK CIRCLE}" if isinstance(machine, ContainerMachine) else machine.site.name


def _legend(simulation: Simulation) -> list[Patch | Line2D]:
    ran = {digest for machine in simulation.machines for _, digest in machine.history}
    versions = [version.name for version in VERSIONS if simulation.registry.digests[version.name] in ran]
    return [
        *(Patch(color=_COLOURS[version], label=f"runs {version}") for version in versions),
        Patch(color=_OFFLINE, label="link is cut"),
        Line2D([], [], marker="o", color="black", label="beside a name: a container", linestyle="none"),
        Line2D([], [], marker="x", color=RED, label="did not get ready, took it back", linestyle="none"),
        Line2D([], [], color="black", label="release merged"),
        Line2D([], [], color=RED, label="rollback merged"),
        *(
            Line2D([], [], marker=marker, color=colour, label=f"promote: {kind}", linestyle="none")
            for kind, (colour, marker) in _DECISIONS.items()
        ),
    ]

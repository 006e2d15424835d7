"""`kfp-edge fleet simulate`."""

from pathlib import Path
from typing import Annotated

import typer


def simulate(
    sites: Annotated[int, typer.Option("--sites", metavar="N", help="How many sites there are.")] = 50,
    containers: Annotated[
        int, typer.Option("--containers", metavar="N", help="How many of them run a real container with Podman.")
    ] = 3,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="DIR", help="Keep repository, images and page in this folder."),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="The page; by default rehearsal.html in DIR or in .kfp-edge."),
    ] = None,
) -> None:
    """Rehearse a rollout on this machine: rings, a cut link, a release that fails, rollbacks, in simulated time.

    No replacement for Argo CD: it shows what the commits and decisions of a fleet do.
    """
    from kfp_edge.errors import ParameterError
    from kfp_edge.fleet.simulation.containers import has_podman
    from kfp_edge.fleet.simulation.page import write_page
    from kfp_edge.fleet.simulation.story import RING_NAMES, Plan, play, start, workspace
    from kfp_edge.runtime.signals import interrupt_on_sigterm
    from kfp_edge.wording import count_of

    plan = Plan(sites, containers)
    page = html or (output or Path(".kfp-edge")) / "rehearsal.html"
    if page.is_dir():
        raise ParameterError(f"--html {page} is a folder; name a file in it.")
    if containers and not has_podman():
        typer.echo("Podman is not installed: all sites are recorded, and no container is started.")
        plan = Plan(sites, 0)
    typer.echo("A rehearsal on this machine, in simulated time; no replacement for Argo CD.")
    with interrupt_on_sigterm(), workspace(output) as folder, start(plan, folder, typer.echo) as simulation:
        play(simulation)
        write_page(simulation, RING_NAMES, page)
    recorded = plan.sites - plan.containers
    typer.echo(f"{count_of(plan.containers, 'site')} with a container, {recorded:,} recorded")
    typer.echo(f"page: {page}")

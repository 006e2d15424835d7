"""`kfp-edge fleet` and its subcommands."""

import gc

import typer

from kfp_edge.cli.fleet.check import check
from kfp_edge.cli.fleet.diff import diff
from kfp_edge.cli.fleet.init import init
from kfp_edge.cli.fleet.metrics import metrics
from kfp_edge.cli.fleet.promote import promote
from kfp_edge.cli.fleet.render import render
from kfp_edge.cli.fleet.rollback import rollback
from kfp_edge.cli.fleet.simulate import simulate
from kfp_edge.cli.fleet.sites import add_model, add_site, remove_site
from kfp_edge.cli.fleet.status import status

#: New objects after which Python looks for cycles, in place of 700.
_ALLOCATIONS = 50_000

fleet = typer.Typer(no_args_is_help=True, help="The GitOps repository of a fleet: rings, sites and what they run.")


@fleet.callback()
def _collect_rarely() -> None:
    # what a command reads of thousands of sites it needs to its end: the search for cycles takes a sixth of its time
    gc.set_threshold(_ALLOCATIONS)


fleet.command("init")(init)
fleet.command("add-site")(add_site)
fleet.command("remove-site")(remove_site)
fleet.command("add-model")(add_model)
fleet.command("check")(check)
fleet.command("diff")(diff)
fleet.command("render")(render)
fleet.command("status")(status)
fleet.command("metrics")(metrics)
fleet.command("promote")(promote)
fleet.command("rollback")(rollback)
fleet.command("simulate")(simulate)

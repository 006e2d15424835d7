"""The `kfp-edge` command, its subcommands and exit codes.

Exit codes: 0 success, 1 refused or failed, 2 wrong usage, 130 interrupted. Heavy packages are imported inside the
subcommands, so that `--help` is fast.
"""

import sys
from typing import Annotated

import typer

from kfp_edge import __version__
from kfp_edge.cli.compile import compile_pipelines
from kfp_edge.cli.doctor import doctor
from kfp_edge.cli.fleet.app import fleet
from kfp_edge.cli.mirror import mirror
from kfp_edge.cli.observe.app import observe
from kfp_edge.cli.run import run
from kfp_edge.cli.run_control import cancel, retry
from kfp_edge.cli.runs import runs
from kfp_edge.cli.schedule import schedule
from kfp_edge.cli.serve import serve
from kfp_edge.cli.submit import submit
from kfp_edge.cli.validate import validate
from kfp_edge.errors import KfpEdgeError

# A defect of ours prints Python's plain traceback: rich would print the values of variables as well.
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command("run")(run)
app.command("submit")(submit)
app.command("runs")(runs)
app.command("cancel")(cancel)
app.command("retry")(retry)
app.add_typer(schedule, name="schedule")
app.command("compile")(compile_pipelines)
app.command("validate")(validate)
app.command("doctor")(doctor)
app.command("serve")(serve)
app.add_typer(fleet, name="fleet")
app.add_typer(mirror, name="mirror")
app.add_typer(observe, name="observe")


def _version(requested: bool) -> None:
    if requested:
        typer.echo(f"kfp-edge {__version__}")
        raise typer.Exit


@app.callback()
def kfp_edge(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    """Carry a model from data to an inference container at the edge, with Kubeflow Pipelines."""


def main() -> None:
    """Run the command line; a user's mistake ends with one sentence on stderr, without a traceback."""
    try:
        app()
    except KfpEdgeError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)

"""`kfp-edge observe` and its subcommands."""

import typer

from kfp_edge.cli.observe.queue import queue

observe = typer.Typer(no_args_is_help=True, help="What a fleet reports: collectors, dashboards, alerts.")


@observe.callback()
def _group() -> None:
    """Keep a group of one command a group."""


observe.command("queue")(queue)

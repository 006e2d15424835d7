"""`kfp-edge cancel` and `kfp-edge retry`."""

from typing import Annotated

import typer

from kfp_edge.cli.server_options import CaFile, Host, Namespace
from kfp_edge.cli.submit import follow_run
from kfp_edge.wording import repeat_command

RunId = Annotated[str, typer.Argument(metavar="RUN", help="Run ID.")]


def cancel(run_id: RunId, namespace: Namespace = "", host: Host = "", ca_file: CaFile = None) -> None:
    """Cancel a run on OpenShift AI: what runs is stopped, and nothing else starts."""
    from kfp_edge.client import Client

    run = Client.connect(namespace, host, ca_file=ca_file).run(run_id)
    run.cancel()
    command = repeat_command(f"runs {run.id} --wait", namespace, host, ca_file)
    typer.echo(f"canceling {run.name}; `{command}` shows when it has ended")


def retry(
    run_id: RunId,
    wait: Annotated[bool, typer.Option("--wait", help="Show its progress until it has ended.")] = False,
    namespace: Namespace = "",
    host: Host = "",
    ca_file: CaFile = None,
) -> None:
    """Run the failed stages of a run on OpenShift AI again, and those after them; what has succeeded is kept."""
    from kfp_edge.client import Client

    run = Client.connect(namespace, host, ca_file=ca_file).run(run_id)
    run.retry()
    typer.echo(f"retrying {run.name}\n    {run.url}")
    if wait:
        follow_run(run, lambda command: repeat_command(command, namespace, host, ca_file))

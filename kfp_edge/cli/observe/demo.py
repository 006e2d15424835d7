"""`kfp-edge observe demo`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from kfp_edge.local import LocalRun
    from kfp_edge.observability.demo.story import Outcome


def demo(
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="DIR", help="A new folder for all files; by default one in .kfp-edge."),
    ] = None,
    retrain: Annotated[
        bool, typer.Option("--retrain", help="Deliver the model first, and retrain it after the drift; needs Podman.")
    ] = False,
) -> None:
    """Show the way from a request at a site to an alert at the hub: servers, collectors, Prometheus, a drift.

    All of it runs on this machine, in compressed time, and has ended when the command has.
    """
    from kfp_edge.observability.demo.collectors import find_collector
    from kfp_edge.observability.demo.compression import Compression
    from kfp_edge.observability.demo.folder import local_environment, new_demo_folder
    from kfp_edge.observability.demo.hub import find_prometheus
    from kfp_edge.observability.demo.page import write_page
    from kfp_edge.observability.demo.story import Plan, play
    from kfp_edge.runtime.signals import interrupt_on_sigterm

    find_prometheus()
    collector, compression, folder = find_collector(), Compression(), new_demo_folder(output)
    for sentence in compression.describe():
        typer.echo(sentence)
    with interrupt_on_sigterm(), local_environment():
        outcome = play(Plan(retrains=retrain), compression, collector, folder, _Clock().report)
        write_page(outcome, compression, collector is not None, folder / "demo.html")
    _print_result(outcome)
    typer.echo(f"page          {folder / 'demo.html'}")


def _print_result(outcome: "Outcome") -> None:
    typer.echo("\nAlerts that fired")
    for alert in outcome.alerts:
        typer.echo(f"  {alert.name}, {alert.site or 'hub'}: {alert.summary} {alert.description}")
    typer.echo(f"\nDecision of the pipeline drift: {outcome.decided.decision}")
    for reason in outcome.decided.reasons:
        typer.echo(f"  {reason}")
    if outcome.retrained:
        _print_retraining(outcome.retrained)
    typer.echo(f"\ndrift report  {outcome.drift_report}")


def _print_retraining(run: "LocalRun") -> None:
    stages = ", ".join(stage.name for stage in run.stages())
    typer.echo(f"\nRetraining: {stages}")
    for warning in run.summary["warnings"]:
        typer.echo(f"  {warning}")
    if git := run.summary["git"]:
        typer.echo("commit        {commit} on {branch} of {repository}".format(**git))


class _Clock:
    """Prints lines with the time since the beginning."""

    def __init__(self) -> None:
        from time import monotonic

        self._monotonic = monotonic
        self._start = monotonic()

    def report(self, line: str) -> None:
        minutes, seconds = divmod(round(self._monotonic() - self._start), 60)
        typer.echo(f"{minutes}:{seconds:02d}  {line}")

"""`kfp-edge fleet metrics`."""

from pathlib import Path
from typing import Annotated

import typer

from kfp_edge.cli.fleet.options import HERE, RepositoryFolder, RepositoryUrl


def metrics(
    repository: RepositoryFolder = HERE,
    url: RepositoryUrl = "",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write them to a file, for node_exporter's collector."),
    ] = None,
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="Serve them at /metrics, until interrupted.")
    ] = "",
    every: Annotated[
        str, typer.Option("--every", metavar="DURATION", help="With --listen: how often the repository is read.")
    ] = "5m",
) -> None:
    """Print what the repository says as metrics for the hub: its sites, and the image that each should run."""
    from datetime import UTC, datetime

    from kfp_edge.errors import ParameterError
    from kfp_edge.fleet.remote import FleetRemote
    from kfp_edge.fleet.status.exporter import Exporter
    from kfp_edge.fleet.status.exposition import render_metrics
    from kfp_edge.fleet.status.status import read_files
    from kfp_edge.fleet.units import parse_duration
    from kfp_edge.storage.files import write_file

    if listen and output is not None:
        raise ParameterError("--listen and --output are both given; choose one of them.")
    fleet = FleetRemote.of_checkout(repository, url)

    def read() -> str:
        with fleet.open() as clone:
            files = read_files(clone, fleet.branch)
        for sentence in files.broken:
            _warn(sentence)
        return render_metrics(files, datetime.now(UTC))

    if not listen:
        if output is None:
            typer.echo(read(), nl=False)
        else:
            write_file(output, read().encode())
        return
    host, port = _parse_address(listen)
    try:
        interval = parse_duration(every)
    except ValueError as error:
        raise ParameterError(f"--every {every} {error}.") from error
    if not interval:
        raise ParameterError(f"--every {every} must be above 0.")
    Exporter(read, _warn).serve(host, port, interval, lambda address: typer.echo(f"serving http://{address}/metrics"))


def _parse_address(text: str) -> tuple[str, int]:
    from kfp_edge.errors import ParameterError

    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise ParameterError(f"--listen {text} must be HOST:PORT, such as 0.0.0.0:9464.")
    return host.strip("[]"), int(port)


def _warn(sentence: str) -> None:
    typer.echo(f"warning: {sentence}", err=True)

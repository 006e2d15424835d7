"""`kfp-edge serve`."""

from pathlib import Path
from typing import Annotated

import typer

from kfp_edge.errors import KfpEdgeError


def serve(
    bundle: Annotated[Path, typer.Argument(help="A bundle, the folder of a run, or a folder of <name>/<version>/.")],
    port: Annotated[int, typer.Option(help="Port of REST; 0 is any that is free.", min=0, max=65535)] = 8080,
    grpc_port: Annotated[int, typer.Option(help="Port of gRPC; 0 is any that is free.", min=0, max=65535)] = 8081,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Serve a bundle on this machine with the server of the edge image, until Ctrl-C."""
    import os
    import sys

    from kfp_edge.ml.bundle import Bundle

    models, folders = _bundles(bundle)
    for folder in folders:
        manifest = Bundle.load(folder).manifest
        typer.echo(f"{manifest.name} {manifest.version}: http://{host}:{port}/v2/models/{manifest.name}", err=True)
    options = {"models": models, "host": host, "port": port, "grpc-port": grpc_port}
    # in our place, so that Ctrl-C is the server's alone
    command = [sys.executable, "-m", "kfp_edge_serving", *(f"--{name}={value}" for name, value in options.items())]
    os.execv(sys.executable, command)


def _bundles(place: Path) -> tuple[Path, list[Path]]:
    """Return the folder to serve and the bundles in it."""
    from kfp_edge.ml.bundle import MANIFEST

    if (place / MANIFEST).is_file():
        return place, [place]
    if named := sorted(place.glob(f"*/*/{MANIFEST}")):
        return place, [path.parent for path in named]
    made = sorted(place.glob(f"artifacts/**/bundle/{MANIFEST}"), key=lambda path: path.stat().st_mtime)
    if not made:
        raise KfpEdgeError(f"there is no bundle in {place}; name a run's folder, or the bundle that verify wrote.")
    return made[-1].parent, [made[-1].parent]

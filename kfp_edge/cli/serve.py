"""`kfp-edge serve`."""

from pathlib import Path
from typing import Annotated

import typer

from kfp_edge.errors import ModelError

_LARGEST_PORT = 65535


def _parse_grpc_port(text: str) -> str:
    if text != "off" and not (text.isdecimal() and int(text) <= _LARGEST_PORT):
        raise typer.BadParameter(f"{text!r} is no port; give 0 to {_LARGEST_PORT}, or off.")
    return text


def serve(
    bundle: Annotated[Path, typer.Argument(help="A bundle, the folder of a run, or a folder of <name>/<version>/.")],
    port: Annotated[int, typer.Option(help="The REST port; 0 chooses a free one.", min=0, max=_LARGEST_PORT)] = 8080,
    grpc_port: Annotated[
        str, typer.Option(help="The gRPC port; 0 chooses a free one, off is none.", parser=_parse_grpc_port)
    ] = "8081",
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
) -> None:
    """Serve a bundle on this machine with the server of the edge image, until Ctrl-C."""
    import os
    import sys

    from kfp_edge.ml.bundle import Bundle

    models, folders = _find_bundles(bundle)
    for folder in folders:
        manifest = Bundle.load(folder).manifest
        typer.echo(f"{manifest.name} {manifest.version}: http://{host}:{port}/v2/models/{manifest.name}", err=True)
    options = {"models": models, "host": host, "port": port, "grpc-port": grpc_port}
    # replace this process, so that only the server receives Ctrl-C
    command = [sys.executable, "-m", "kfp_edge_serving", *(f"--{name}={value}" for name, value in options.items())]
    os.execv(sys.executable, command)


def _find_bundles(path: Path) -> tuple[Path, list[Path]]:
    """Return the folder to serve and the bundles in it."""
    from kfp_edge.ml.bundle import MANIFEST

    if (path / MANIFEST).is_file():
        return path, [path]
    if versions := sorted(path.glob(f"*/*/{MANIFEST}")):
        return path, [manifest.parent for manifest in versions]
    manifests = sorted(path.glob(f"artifacts/**/bundle/{MANIFEST}"), key=lambda manifest: manifest.stat().st_mtime)
    if not manifests and (path / "logs" / "run.log").is_file():
        raise ModelError(f"the run in {path} ended before it had a bundle; {path}/logs/run.log says why.")
    if not manifests:
        raise ModelError(f"there is no bundle in {path}; name a run's folder, or the bundle that verify wrote.")
    return manifests[-1].parent, [manifests[-1].parent]

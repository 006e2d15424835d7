"""The `kfp-edge` command against a fake KFP backend."""

from typer.testing import CliRunner, Result

from kfp_edge.cli.app import app
from support.fake_kfp import FakeKfp


def kfp_edge(server: FakeKfp, *args: str) -> Result:
    """Run a command with the options for the server."""
    return CliRunner().invoke(app, [*args, "--host", server.url, "--namespace", "ds-project"])

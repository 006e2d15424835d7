"""The private API of grpcio that the server is made of."""

import re
import tomllib

import grpc
import pytest
from grpc._cython import cygrpc

from kfp_edge_serving.errors import StartError
from kfp_edge_serving.grpc_server import core
from kfp_edge_serving.grpc_server.listener import core_options
from kfp_edge_serving.limits import Limits
from serving_support.paths import PACKAGE


def test_this_grpcio_has_all_of_the_private_api_that_is_used() -> None:
    missing = core.missing_names()
    assert not missing, (
        f"grpcio {grpc.__version__} has changed its private API: cygrpc lacks {missing}. Adapt "
        "kfp_edge_serving/grpc_server/core.py, or let serving/pyproject.toml exclude this version."
    )


def test_the_range_of_grpcio_ends_with_the_versions_that_were_tested() -> None:
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
    [requirement] = [line for line in project["dependencies"] if line.startswith("grpcio")]
    upper = re.search(r"<(\d+)\.(\d+)", requirement)
    assert upper is not None, f"{requirement} has no upper bound, though grpcio's private API changes without notice"
    assert tuple(map(int, grpc.__version__.split(".")[:2])) < tuple(map(int, upper.groups()))


def test_a_client_that_vanishes_is_noticed_within_a_minute() -> None:
    options = dict(core_options(Limits()))
    answer = max(options["grpc.keepalive_timeout_ms"], options["grpc.http2.ping_timeout_ms"])
    assert options["grpc.keepalive_time_ms"] + answer <= 60_000


@pytest.mark.parametrize("name", ["Server", "CallDetails"])
def test_a_grpcio_that_lacks_something_is_a_start_error_that_names_it(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delattr(cygrpc, name)
    with pytest.raises(StartError, match=rf"^grpcio .* has no cygrpc\.{name}, of which the gRPC server is made; "):
        core.create_server([])

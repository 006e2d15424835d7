"""A gRPC server without REST, for what no option of the command line sets: its limits, and a server that is not ready.

It is a process of its own: the messages of the server and those of tritonclient have the same names, which protobuf
takes only once.

    python grpc_without_package.py MODELS [--not-ready] [--broken] [--limit grpc_max_calls=1 ...]
"""

import argparse
import sys
from pathlib import Path

from kfp_edge_serving.auth import Authenticator, AuthFiles
from kfp_edge_serving.grpc_server.server import GrpcServer
from kfp_edge_serving.limits import Limits
from kfp_edge_serving.models.model import ModelOptions
from kfp_edge_serving.models.repository import ModelCatalog, ModelRepository
from kfp_edge_serving.telemetry.log import log
from kfp_edge_serving.telemetry.refusals import Refusals


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("models", type=Path)
    parser.add_argument("--not-ready", action="store_true")
    parser.add_argument("--broken", action="store_true")
    parser.add_argument("--limit", action="append", default=[])
    options = parser.parse_args()
    repository = ModelRepository(options.models, ModelOptions())
    repository.load()

    def catalog() -> ModelCatalog:
        if options.broken:
            raise ZeroDivisionError("a detail of the server")
        return repository.catalog

    limits = dict(limit.split("=") for limit in options.limit)
    refusals = Refusals()
    server = GrpcServer(
        catalog,
        lambda: not options.not_ready,
        Authenticator(AuthFiles()),
        Limits(**{name: float(value) if "." in value else int(value) for name, value in limits.items()}),
        refusals=refusals,
    )
    log("ready", port=0, grpc_port=server.start("127.0.0.1", 0))
    for line in sys.stdin:
        log("state", in_flight=server.in_flight, overloaded=refusals.count_overloads(), asked=line.strip())
    server.stop(5)
    log("stopped")


if __name__ == "__main__":
    main()

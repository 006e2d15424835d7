"""`python -m kfp_edge_serving`: serve the bundles under a folder."""

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType


def main() -> int:
    """Serve until SIGTERM or SIGINT and return the exit code."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    parser = argparse.ArgumentParser(prog="kfp-edge-serving", description=__doc__)
    parser.add_argument(
        "--models", type=Path, default=os.environ.get("KFP_EDGE_MODELS", "/models"), help="folder of <name>/<version>/"
    )
    parser.add_argument("--host", default="0.0.0.0", help="address to listen on")
    parser.add_argument("--port", type=int, default=os.environ.get("KFP_EDGE_PORT", "8080"), help="port of REST")
    arguments = parser.parse_args()

    from kfp_edge_serving.server import serve

    return serve(arguments.models, arguments.host, arguments.port)


def _end(number: int, frame: FrameType | None) -> None:
    # uvicorn drains first and then raises the signal once more, which ends here
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(main())

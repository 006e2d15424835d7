"""`python -m kfp_edge_serving`: serve bundles; `python -m kfp_edge_serving health`: ask a running server."""

import os
import signal
import sys


def main() -> int:
    """Serve until SIGTERM or SIGINT, or ask for health, and return the exit code."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["health"]:
        from kfp_edge_serving.health_check import check

        return check(arguments[1:])
    # the first process of a container gets no signal that it does not handle
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    from kfp_edge_serving.server import run
    from kfp_edge_serving.settings import parse
    from kfp_edge_serving.telemetry.log import flush

    code = run(parse(arguments[1:] if arguments[:1] == ["serve"] else arguments))
    flush()
    # threads may still load a model or compute: they would hold up the end of the interpreter, or die of it
    os._exit(code)


if __name__ == "__main__":
    sys.exit(main())

"""`python -m kfp_edge_serving` serves bundles; `python -m kfp_edge_serving health` checks a running server."""

import os
import signal
import sys


def main() -> int:
    """Serve until SIGTERM or SIGINT, or check the health of a running server, and return the exit code."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["health"]:
        from kfp_edge_serving.health_check import check

        return check(arguments[1:])
    # the first process of a container receives no signal that it does not handle
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    from kfp_edge_serving.server import run
    from kfp_edge_serving.settings import parse
    from kfp_edge_serving.telemetry.log import flush

    code = run(parse(arguments[1:] if arguments[:1] == ["serve"] else arguments))
    flush()
    # threads may still be loading a model or inferring: they would delay the end of the interpreter, or crash in it
    os._exit(code)


if __name__ == "__main__":
    sys.exit(main())

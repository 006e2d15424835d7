"""Requests lost when a server is terminated under load: python terminations.py [--terminations 20].

48 REST clients and 16 gRPC clients keep their connections to two servers, and send all the time. One server after the
other gets SIGTERM and is started again, as in a rolling update. Ends with exit code 1 if a request is lost.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from environments import HERE
from payloads import Case, message, payload
from served_bundle import train_bundle

sys.path.append(str(HERE.parents[1] / "serving" / "tests"))
from serving_support.terminations import replicas, terminate_under_load


def main() -> int:
    """Measure, print the numbers, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--terminations", type=int, default=20)
    parser.add_argument("--shutdown-delay", type=float, default=5.0, help="seconds")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        served = train_bundle(Path(scratch) / "models", drop=("Type",))
        request, call = payload(served, Case("JSON", 1)), message(served, 1)
        # clients in Python on the same processors as the servers may make a request wait
        options = ("--shutdown-delay", str(arguments.shutdown_delay), "--max-wait", "10")
        with replicas(served.models, *options) as both:
            result = terminate_under_load(both, arguments.terminations, request, call)
    calls = sum(outcome.answers.get(200, 0) for outcome in result.grpc)
    print(f"{arguments.terminations} terminations, exit codes {sorted(set(result.exit_codes))}")
    print(f"answered: {result.rest.answers.get(200, 0)} REST requests, {calls} gRPC calls")
    print(f"lost: {sum(result.lost.values())} {result.lost or ''}")
    return 1 if result.lost or any(result.exit_codes) else 0


if __name__ == "__main__":
    sys.exit(main())

"""The health check of a container that has no shell and no curl: whether the server in it is ready."""

import argparse
import http.client
import os
import ssl
import sys
from collections.abc import Sequence

_TIMEOUT = 3.0
#: Values of the option `--host` that include the loopback address.
_ALL_ADDRESSES = ("", "0.0.0.0", "::")


def check(arguments: Sequence[str]) -> int:
    """Return 0 if the server on this host is ready; else print why not and return 1."""
    parser = argparse.ArgumentParser(prog="kfp-edge-serving health", description=__doc__)
    parser.add_argument("--port", type=int, default=os.environ.get("KFP_EDGE_PORT") or "8080", help="port of REST")
    port = parser.parse_args(arguments).port
    try:
        status = _get_readiness(port)
    except (OSError, http.client.HTTPException) as error:
        print(f"no answer on port {port}: {error or type(error).__name__}", file=sys.stderr)
        return 1
    if status != 200:
        print(f"the server on port {port} is not ready: it answers {status}", file=sys.stderr)
        return 1
    return 0


def _get_readiness(port: int) -> int:
    host = os.environ.get("KFP_EDGE_HOST", "")
    host = "127.0.0.1" if host in _ALL_ADDRESSES else host
    connection: http.client.HTTPConnection
    if os.environ.get("KFP_EDGE_TLS_CERT"):
        # the server's certificate need not name localhost, and nothing secret is sent
        context = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection(host, port, timeout=_TIMEOUT, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT)
    try:
        connection.request("GET", "/v2/health/ready")
        return connection.getresponse().status
    finally:
        connection.close()

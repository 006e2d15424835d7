"""The health check of a container that has no shell and no curl: whether the server in it is ready."""

import http.client
import os
import ssl
import sys
from collections.abc import Sequence

from kfp_edge_serving.settings import parse_address

_TIMEOUT = 3.0
#: Where to ask a server that listens at all addresses: it may have those of one version of IP only.
_LOOPBACK = ("127.0.0.1", "::1")
_ALL_ADDRESSES = ("0.0.0.0", "::")


def check(arguments: Sequence[str]) -> int:
    """Return 0 if the server on this host is ready; else print why not and return 1."""
    host, port = parse_address("kfp-edge-serving health", __doc__, arguments)
    errors = []
    for address in _LOOPBACK if host in _ALL_ADDRESSES else (host,):
        try:
            status = _get_readiness(address, port)
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            errors.append(f"{address}: {error or type(error).__name__}")
            continue
        if status != 200:
            print(f"the server on port {port} is not ready: it answers {status}", file=sys.stderr)
            return 1
        return 0
    print(f"no answer on port {port} of {'; '.join(errors)}", file=sys.stderr)
    return 1


def _get_readiness(host: str, port: int) -> int:
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

"""The probes of a container: HTTP requests, and for how long they may fail."""

import contextlib
import http.client
import time

from support.fake_kubernetes.objects import Object

#: Where the ports of containers are published.
HOST = "127.0.0.1"
_DEFAULTS = {"periodSeconds": 10, "timeoutSeconds": 1, "failureThreshold": 3, "initialDelaySeconds": 0}


class Probe:
    """How a probe has gone: it fails for good after `failureThreshold` periods without a pass."""

    def __init__(self, spec: Object) -> None:
        self.spec = _DEFAULTS | spec
        self.passed = False
        self._failing_since: float | None = None
        patience = self.spec["periodSeconds"] * self.spec["failureThreshold"]
        self._patience = patience + self.spec["initialDelaySeconds"]

    def first_failure(self) -> bool:
        """Whether no failure came since the last pass."""
        return self._failing_since is None

    def take(self, *, passed: bool) -> None:
        """Note an answer."""
        self.passed = passed
        if passed:
            self._failing_since = None
        elif self._failing_since is None:
            self._failing_since = time.monotonic()

    def has_failed(self) -> bool:
        """Whether it failed for as long as it may."""
        return self._failing_since is not None and time.monotonic() - self._failing_since > self._patience


def http_status(port: int, path: str, timeout: float) -> int:
    connection = http.client.HTTPConnection(HOST, port, timeout=timeout)
    with contextlib.closing(connection):
        connection.request("GET", path, headers={"User-Agent": "kube-probe/1.32", "Connection": "close"})
        return connection.getresponse().status

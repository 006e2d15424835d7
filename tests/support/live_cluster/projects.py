"""Namespaces that a test creates for itself."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from kfp_edge.kubernetes import Cluster
from support.live_cluster.kubectl import apply, can, kubectl

_SECONDS = 120


@contextmanager
def new_namespace(name: str, *, is_created: bool = True) -> Iterator[str]:
    """Create a namespace and delete it at the end; without `is_created`, somebody else creates it."""
    if not can("create", "namespaces"):
        pytest.skip("this login may not create namespaces")
    if is_created:
        apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        _wait_for_service_account(name)
    try:
        yield name
    finally:
        kubectl("delete", "namespace", name, "--ignore-not-found", "--wait=true", f"--timeout={_SECONDS}s")


def _wait_for_service_account(namespace: str) -> None:
    """Wait for the account without which the API server admits no pod."""
    cluster = Cluster.connect(namespace)
    deadline = time.monotonic() + _SECONDS
    while cluster.get("ServiceAccount", "default") is None:
        assert time.monotonic() < deadline, f"the namespace {namespace} got no service account"
        time.sleep(0.5)

"""Fixtures of the tests of HTTP."""

from collections.abc import Iterator

import pytest

from serving_support.raw_http import echoing


@pytest.fixture(scope="session")
def echo() -> Iterator[int]:
    """Return the port of an HTTP server whose responses repeat the request as it was parsed."""
    with echoing() as port:
        yield port

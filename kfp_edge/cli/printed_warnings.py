"""Warnings of the client, as the command line prints them."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from kfp_edge.errors import KfpEdgeWarning


@contextmanager
def printed_warnings() -> Iterator[None]:
    """Print warnings for the user to stderr, one line each, when the block ends, also with an error."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", KfpEdgeWarning)
        try:
            yield
        finally:
            for each in caught:
                if each.category is KfpEdgeWarning:
                    typer.echo(f"warning: {each.message}", err=True)

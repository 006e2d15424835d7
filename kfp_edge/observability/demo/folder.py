"""Where the demo leaves its files, and the environment of a machine that it does not leave."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kfp_edge.errors import ParameterError
from kfp_edge.prometheus import CA_VARIABLE, TOKEN_VARIABLE

#: What a user has set for the Prometheus of the fleet, which is not that of the demo.
_OF_FLEET = (TOKEN_VARIABLE, f"{TOKEN_VARIABLE}_FILE", CA_VARIABLE)
_WITHOUT_PROXY = ("no_proxy", "NO_PROXY")


def new_demo_folder(named: Path | None) -> Path:
    """Return an empty folder: the named one, or a new one in `.kfp-edge/observe`.

    Raises:
        ParameterError: the named folder has files already, or cannot be created.
    """
    if named is None:
        parent, number = Path(".kfp-edge/observe"), 1
        while (parent / f"demo-{number}").exists():
            number += 1
        named = parent / f"demo-{number}"
    try:
        named.mkdir(parents=True, exist_ok=True)
        has_files = any(named.iterdir())
    except OSError as error:
        raise ParameterError(f"--output {named} cannot be created: {error.strerror}.") from error
    if has_files:
        raise ParameterError(f"--output {named} is not empty; name a new folder.")
    return named.resolve()


@contextmanager
def local_environment() -> Iterator[None]:
    """Set the environment for servers on this machine: no proxy, and no login of the fleet's Prometheus."""
    before = dict(os.environ)
    for name in _OF_FLEET:
        os.environ.pop(name, None)
    for name in _WITHOUT_PROXY:
        os.environ[name] = "127.0.0.1"
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)

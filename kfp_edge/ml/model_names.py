"""What a model and its versions may be called."""

import re

from kfp_edge.errors import ParameterError

NAME = "[a-z0-9]([a-z0-9-]{0,51}[a-z0-9])?"
VERSION = "[A-Za-z0-9_][A-Za-z0-9._-]{0,62}"
_MAX_NAME = 53


def check_identity(name: str, version: str) -> None:
    """Refuse a name or a version that no bundle may have.

    Raises:
        ParameterError: with what to write instead.
    """
    check_name(name)
    if not re.fullmatch(VERSION, version):
        raise ParameterError(
            f"model_version {version!r} cannot be used; it must be letters, digits and . _ -, at most 63, as in 1.4.0."
        )


def check_name(name: str) -> None:
    """Refuse a name that no bundle may have.

    Raises:
        ParameterError: with what to write instead.
    """
    if not re.fullmatch(NAME, name):
        similar = re.sub("[^a-z0-9]+", "-", name.lower())[:_MAX_NAME].strip("-")
        hint = f"; did you mean {similar}?" if similar else "."
        raise ParameterError(
            f"model_name {name!r} cannot be used; it must be a DNS label: lower-case letters, digits and -, at most "
            f"{_MAX_NAME}{hint}"
        )

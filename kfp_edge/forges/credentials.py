"""Token and CA certificates of a forge, from environment variables; those of git apply where it has none of its own."""

import os
import ssl
from pathlib import Path

from kfp_edge.errors import ParameterError
from kfp_edge.git.environment import read_token

#: `..._FILE` names a file with the token.
TOKEN_VARIABLE = "KFP_EDGE_FORGE_TOKEN"
_CA_VARIABLES = ("KFP_EDGE_FORGE_CA_FILE", "KFP_EDGE_GIT_CA_FILE")


def read_forge_token() -> str:
    """Return the access token: that of the forge, else that of git.

    Raises:
        ParameterError: there is none, or an environment variable is not valid.
    """
    if token := read_token(TOKEN_VARIABLE) or read_token():
        return token
    raise ParameterError(
        f"no token of the forge is set; put one into {TOKEN_VARIABLE}, or name a file with it in {TOKEN_VARIABLE}_FILE "
        "(docs/pull-requests.md has the scopes that it needs)."
    )


def read_ca_file() -> Path | None:
    """Return the file with the CA certificates of the forge; None for the public ones.

    Raises:
        ParameterError: an environment variable names no file.
    """
    for variable in _CA_VARIABLES:
        if path := os.environ.get(variable):
            return check_ca_file(variable, Path(path))
    return None


def check_ca_file(name: str, path: Path) -> Path:
    """Return `path` if it is a file with certificates; `name` is what it is called in the message.

    Raises:
        ParameterError: it is none.
    """
    if not path.is_file():
        raise ParameterError(f"{name} is {path}, which is not a file.")
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:
        raise ParameterError(f"{name} is {path}, which cannot be read as certificates in the PEM format.") from error
    return path

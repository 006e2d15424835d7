"""The environment variables that name the CA certificates of a server."""

import os
from pathlib import Path

from kfp_edge.errors import StorageError


def check_ca_variable(variable: str) -> None:
    """Refuse a variable that names a file which does not exist: the libraries that read it do not say so.

    Raises:
        StorageError: there is no such file or folder.
    """
    path = os.environ.get(variable)
    if path and not Path(path).exists():
        raise StorageError(f"{variable} is {path}, which does not exist; set it to a file with the CA certificates.")

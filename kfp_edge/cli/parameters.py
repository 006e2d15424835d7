"""A pipeline's parameters on the command line."""

from pathlib import Path
from typing import Annotated, Any

import typer

from kfp_edge.errors import KfpEdgeError

ParameterOptions = Annotated[
    list[str] | None, typer.Option("-p", "--parameter", metavar="NAME=VALUE", help="Lists and mappings as YAML.")
]
ParametersFile = Annotated[Path | None, typer.Option("--params", metavar="FILE", help="Parameters from YAML.")]


def read_parameters(options: list[str] | None, file: Path | None) -> dict[str, Any]:
    """Return the parameters of a file and of options, which go before the file's.

    Raises:
        KfpEdgeError: the file is not a YAML mapping, or an option has no value.
    """
    return {**_from_file(file), **_from_options(options or [])}


def _from_file(path: Path | None) -> dict[str, Any]:
    import yaml

    if path is None:
        return {}
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise KfpEdgeError(f"cannot read {path}: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise KfpEdgeError(f"{path} is not valid YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(found, dict):
        raise KfpEdgeError(f"{path} must be a mapping of parameter names to values.")
    return found


def _from_options(options: list[str]) -> dict[str, str]:
    found = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals:
            raise KfpEdgeError(f"-p {option} has no value; write -p {name}=VALUE.")
        found[name.replace("-", "_")] = value
    return found

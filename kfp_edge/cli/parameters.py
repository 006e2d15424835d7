"""A pipeline's parameters on the command line."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from kfp_edge.errors import ParameterError

ParameterOptions = Annotated[
    list[str] | None, typer.Option("-p", "--parameter", metavar="NAME=VALUE", help="Lists and mappings as YAML.")
]
ParametersFile = Annotated[
    Path | None, typer.Option("--params", metavar="FILE", help="A YAML or JSON file with parameters.")
]


def read_parameters(options: list[str] | None, file: Path | None) -> dict[str, object]:
    """Return the parameters of a file and of options, which override those of the file.

    Raises:
        ParameterError: the file is not a mapping in YAML or JSON, or an option has no value.
    """
    return {**_from_file(file), **_from_options(options or [])}


def _from_file(path: Path | None) -> Mapping[str, object]:
    from kfp_edge.spec.parameters.values import read_parameter_file
    from kfp_edge.spec.pipeline_file import decode_text

    if path is None:
        return {}
    try:
        return read_parameter_file(decode_text(path.read_bytes()))
    except OSError as error:
        raise ParameterError(f"cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ParameterError(f"{path} is not UTF-8 text; save it as UTF-8.") from error
    except ParameterError as error:
        raise ParameterError(f"the parameter file {path} cannot be used: {error}") from error


def _from_options(options: list[str]) -> dict[str, str]:
    parameters = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals:
            raise ParameterError(f"-p {option} has no value; write -p {name}=VALUE.")
        parameters[name.strip().replace("-", "_")] = value
    return parameters

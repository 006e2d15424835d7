"""The values of a pipeline's parameters: what people write is read as YAML 1.2, by the type of the parameter.

A text is taken exactly as it is typed: `target=no`, `model_version=1.10` and `drop=[no, 1, 2024-01-01]` hold texts.
"""

import json
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

import yaml

from kfp_edge.errors import ParameterError
from kfp_edge.spec.parameters.element_types import ElementType
from kfp_edge.spec.secret_patterns import detect_login, detect_secret
from kfp_edge.spec.validation import core_schema

_TYPE_NAMES = {
    "STRING": "text",
    "NUMBER_INTEGER": "a whole number",
    "NUMBER_DOUBLE": "a number",
    "BOOLEAN": "true or false",
    "LIST": "a list",
    "STRUCT": "a mapping",
}
_KINDS: dict[ElementType, str] = {
    "str": "STRING",
    "int": "NUMBER_INTEGER",
    "float": "NUMBER_DOUBLE",
    "bool": "BOOLEAN",
    "dict": "STRUCT",
    "list": "LIST",
}
_LISTS_OF: dict[ElementType, str] = {
    "str": "a list of texts",
    "int": "a list of whole numbers",
    "float": "a list of numbers",
    "bool": "a list of true or false",
    "dict": "a list of mappings",
    "list": "a list of lists",
}
_PERCENTAGE = re.compile(r"([-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)) ?%")
#: Digits in groups, as in 1_000 and 10,000.
_GROUPED = re.compile(r"[-+]?[1-9][0-9]*(?:_[0-9]+)+|[-+]?[1-9][0-9]{0,2}(?:[,' ][0-9]{3})+")
_SEPARATOR = re.compile("[_,' ]")
_DECIMAL_COMMA = re.compile(r"[-+]?[0-9]+,[0-9]+")
#: KFP passes whole numbers as doubles, which are exact up to here.
_LARGEST_INTEGER = 2**53
_MAX_LENGTH = 60
_SHOWN_IN_FULL = 10**30
#: What to write in place of null, where it is not to be left out.
_NULL_REMEDIES = {"gates": 'write "off" to switch a gate off'}


@dataclass(frozen=True)
class WrittenValue:
    """A value as somebody wrote it in a YAML file; the type of the parameter decides how it is read."""

    node: yaml.Node


class _WrongTypeError(ParameterError):
    """A value has another type than its parameter, or than the elements of its list."""


@dataclass(frozen=True)
class Parameter:
    """A pipeline's parameter: its name, its type in the compiled pipeline, and that of its elements if it is a list."""

    name: str
    kind: str
    element: ElementType | None = None
    #: A value of a mapping as its description has it, for error messages; "" where there is none.
    example: str = ""

    @property
    def requirement(self) -> str:
        """What a value must be."""
        return _LISTS_OF[self.element] if self.kind == "LIST" and self.element else _TYPE_NAMES[self.kind]


def is_kind(kind: str) -> bool:
    """Whether a parameter of this type in the compiled pipeline can have a value."""
    return kind in _TYPE_NAMES


def read_parameter_file(text: str) -> dict[str, WrittenValue]:
    """Return the values in a YAML file by the names of the parameters.

    Raises:
        ParameterError: it is not valid YAML, or not a mapping.
    """
    try:
        node = core_schema.compose(text)
        if node is None:
            return {}
        if not isinstance(node, yaml.MappingNode):
            raise ParameterError("it must be a mapping of parameter names to values.")
        return {name: WrittenValue(value) for name, value in core_schema.items(node)}
    except yaml.YAMLError as error:
        raise ParameterError(f"it is not valid YAML: {_yaml_reason(error)}.") from error


def read_value(parameter: Parameter, value: object) -> Any:
    """Return a value as KFP takes it: a text, number, boolean, list or mapping.

    Args:
        parameter: What the value is for.
        value: A `WrittenValue`, a text as it is typed on the command line, or a value of Python.

    Raises:
        ParameterError: it has the wrong type, is not valid YAML, or contains a secret.
    """
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, WrittenValue):
        argument = _read_node(parameter, value.node)
    elif isinstance(value, str) and parameter.kind != "STRING":
        argument = _parse(parameter, value)
    else:
        argument = value
    _check_no_secret(parameter, argument)
    _check_no_null(parameter, argument)
    return _convert(parameter, argument)


def _parse(parameter: Parameter, text: str) -> object:
    """Read a text from the command line as YAML."""
    try:
        node = core_schema.compose(text)
        return text if node is None else _read_node(parameter, node)
    except yaml.YAMLError as error:
        raise ParameterError(f"the parameter {parameter.name} is not valid YAML: {_yaml_reason(error)}.") from error


def _yaml_reason(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"{error.problem or error.context} (line {mark.line + 1}, column {mark.column + 1})"
    return " ".join(str(error).split())


def _read_node(parameter: Parameter, node: yaml.Node) -> object:
    """Return the value of a node; a scalar where the type asks for a text is that text."""
    if isinstance(node, yaml.ScalarNode) and parameter.kind == "STRING":
        if core_schema.is_null(node):
            raise ParameterError(
                f"the parameter {parameter.name} is empty; leave it out, or write it in quotes: "
                f"{parameter.name}: '{node.value}'."
            )
        return core_schema.text_of(node)
    if isinstance(node, yaml.SequenceNode) and parameter.element == "str":
        return [
            core_schema.text_of(item) if isinstance(item, yaml.ScalarNode) else _construct(parameter, item)
            for item in node.value
        ]
    return _construct(parameter, node)


def _construct(parameter: Parameter, node: yaml.Node) -> object:
    try:
        value = core_schema.construct(node)
    except yaml.YAMLError as error:
        raise ParameterError(f"the parameter {parameter.name} is not valid YAML: {_yaml_reason(error)}.") from error
    _check_no_empty_value(parameter, node)
    return value


def _check_no_empty_value(parameter: Parameter, node: yaml.Node) -> None:
    """Refuse `{recall:0.9}`, which is a key without a value; `{recall: null}` has one: null."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_no_empty_value(parameter, item)
    elif isinstance(node, yaml.MappingNode):
        for key, item in core_schema.items(node):
            if core_schema.is_empty(item):
                remedy = "write {name: value} with a space after the colon" if ":" in key else "give it a value"
                raise ParameterError(
                    f"the parameter {parameter.name} has no value for {_show(key)}; {remedy}, or leave it out."
                )
            _check_no_empty_value(parameter, item)


def _check_no_null(parameter: Parameter, value: object, where: str = "") -> None:
    """Refuse null inside a list or mapping, which KFP cannot pass.

    Raises:
        ParameterError: with the place of the first one.
    """
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list | tuple) else ()
    for key, item in items:
        path = f"{where}.{key}" if where else str(key)
        if item is None:
            remedy = _NULL_REMEDIES.get(parameter.name, "leave it out")
            raise ParameterError(f"the parameter {parameter.name} is null at {path}, which KFP cannot pass; {remedy}.")
        _check_no_null(parameter, item, path)


def _convert(parameter: Parameter, value: object) -> Any:
    """Return a value with the types that KFP takes.

    Raises:
        ParameterError: it has the wrong type.
    """
    value = _plain(value)
    match parameter.kind:
        case "STRING" if isinstance(value, str):
            return value
        case "BOOLEAN" if isinstance(value, bool):
            return value
        case "NUMBER_INTEGER" if isinstance(value, Real) and not isinstance(value, bool) and value % 1 == 0:
            return _check_integer(parameter, int(value) if isinstance(value, Integral) else int(float(value)))
        case "NUMBER_DOUBLE":
            number = _to_float(parameter, value)
            if number is not None:
                return _check_finite(parameter, number)
        case "LIST" if isinstance(value, list | tuple):
            return [_convert_element(parameter, item) for item in value]
        case "STRUCT" if isinstance(value, Mapping):
            return _convert_nested(parameter, value)
    raise _WrongTypeError(
        f"the parameter {parameter.name} must be {parameter.requirement}, not {_show(value)}{_hint(parameter, value)}."
    )


def _plain(value: object) -> object:
    """Return an array or a scalar of numpy as a list or a value of Python."""
    return value.tolist() if type(value).__module__ == "numpy" and hasattr(value, "tolist") else value


def _convert_element(parameter: Parameter, value: object) -> Any:
    if parameter.element is None:
        return _convert_nested(parameter, value)
    try:
        return _convert(Parameter(parameter.name, _KINDS[parameter.element]), value)
    except _WrongTypeError as error:
        hint = _hint(Parameter(parameter.name, _KINDS[parameter.element]), value)
        raise ParameterError(
            f"the parameter {parameter.name} must be {parameter.requirement}; it contains {_show(value)}{hint}."
        ) from error


def _convert_nested(parameter: Parameter, value: object) -> Any:
    """Return a value inside a list or mapping.

    Raises:
        ParameterError: KFP has no type for it: a key that is not a text, or any other Python object.
    """
    value = _plain(value)
    match value:
        case str() | bool():
            return value
        case Integral():
            return _check_integer(parameter, int(value))
        case Real():
            return _check_finite(parameter, float(value))
        case list() | tuple():
            return [_convert_nested(parameter, item) for item in value]
        case Mapping():
            return {_check_key(parameter, key): _convert_nested(parameter, item) for key, item in value.items()}
    raise ParameterError(
        f"the parameter {parameter.name} contains {_show(value)}, for which KFP has no type; quote it."
    )


def _check_key(parameter: Parameter, key: object) -> str:
    if not isinstance(key, str):
        raise ParameterError(
            f"the parameter {parameter.name} has the key {_show(key)}; write it as a text: {str(key)!r}."
        )
    return key


def _check_integer(parameter: Parameter, number: int) -> int:
    if abs(number) > _LARGEST_INTEGER:
        alternative = "" if parameter.kind == "NUMBER_INTEGER" else ", or write it as a text in quotes"
        raise ParameterError(
            f"the parameter {parameter.name} contains {_show(number)}, which KFP cannot pass exactly; "
            f"give a whole number of at most {_LARGEST_INTEGER}{alternative}."
        )
    return number


def _exact_float(parameter: Parameter, number: int) -> float:
    """Return a whole number as the float that KFP passes, unless that is another number."""
    try:
        as_float = float(number)
    except OverflowError:
        as_float = math.inf
    if as_float != number:
        raise ParameterError(
            f"the parameter {parameter.name} contains {_show(number)}, which KFP cannot pass exactly; "
            "round it, or write it with a decimal point."
        )
    return as_float


def _check_finite(parameter: Parameter, number: float) -> float:
    if not math.isfinite(number):
        raise ParameterError(f"the parameter {parameter.name} contains {number}, which is no finite number; give one.")
    return number


def _to_float(parameter: Parameter, value: object) -> float | None:
    """Return a number, or a percentage as a share: `80%` is 0.8."""
    if isinstance(value, Integral) and not isinstance(value, bool):
        return _exact_float(parameter, int(value))
    if isinstance(value, Real) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and (percentage := _PERCENTAGE.fullmatch(value.strip())):
        return float(Decimal(percentage[1]).scaleb(-2))
    return None


def _hint(parameter: Parameter, value: object) -> str:
    """Return how to write what was probably meant, after a semicolon; empty if that is not known."""
    hint = ""
    match parameter.kind, value:
        case "STRING", bool() | int() | float():
            hint = f"write it as a text in quotes: {_show(str(value))}"
        case "NUMBER_INTEGER" | "NUMBER_DOUBLE", str() if _GROUPED.fullmatch(value):
            hint = f"write {_SEPARATOR.sub('', value)}"
            if parameter.kind == "NUMBER_DOUBLE" and _DECIMAL_COMMA.fullmatch(value):
                hint += f" or {value.replace(',', '.')}, whichever is meant"
        case "NUMBER_DOUBLE", str() if _DECIMAL_COMMA.fullmatch(value):
            hint = f"write {value.replace(',', '.')}"
        case "BOOLEAN", str() if value.lower() in ("yes", "no", "on", "off"):
            hint = f"write {'true' if value.lower() in ('yes', 'on') else 'false'}"
        case "LIST", str() | bool() | int() | float():
            hint = f"write [{value}]" if value != "" else "write [] for an empty one"
        case "STRUCT", "":
            hint = "write {} for an empty one"
        case "STRUCT", str() | bool() | int() | float():
            hint = f"write one such as {parameter.example}" if parameter.example else "write {name: value}"
    return f"; {hint}" if hint else ""


def _show(value: object) -> str:
    """Return a value for a message, shortened, without the text of a secret."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < _SHOWN_IN_FULL else f"{Decimal(value):.6e}"
    text = json.dumps(value, default=str, ensure_ascii=False)
    if kind := detect_secret(text):
        return kind
    return text if len(text) <= _MAX_LENGTH else f"{text[:_MAX_LENGTH]}…"


def _check_no_secret(parameter: Parameter, value: object) -> None:
    """Refuse a secret, but not the query of a URL, which a local run keeps to itself.

    Raises:
        ParameterError: a text in the value looks like a secret.
    """
    _check_texts(parameter.name, value, lambda text: text.partition("?")[0] if "://" in text else text)


def check_no_signed_url(name: str, value: object) -> None:
    """Refuse a signed URL: a backend stores the parameters of a run, and the dashboard shows them.

    Raises:
        ParameterError: a text in the value contains one.
    """
    _check_texts(name, value, lambda text: text)


def _check_texts(name: str, value: object, checked_part: Callable[[str], str]) -> None:
    match value:
        case str() if kind := detect_secret(checked_part(value)):
            raise ParameterError(_secret_message(name, kind))
        case list() | tuple():
            for item in value:
                _check_texts(name, item, checked_part)
        case Mapping():
            if kind := detect_login(value):
                raise ParameterError(_secret_message(name, kind))
            for item in value.values():
                _check_texts(name, item, checked_part)


def _secret_message(name: str, kind: str) -> str:
    remedy = "the file of logins that NETRC names, or an S3 data connection" if "URL" in kind else "a Secret"
    return (
        f"the parameter {name} contains what looks like {kind}, and KFP stores and shows parameters; "
        f"use an environment variable, {remedy} instead (docs/parameters.md)."
    )

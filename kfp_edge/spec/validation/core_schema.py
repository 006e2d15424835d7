"""YAML by the core schema of YAML 1.2 (section 10.3), of which JSON is a part.

PyYAML reads YAML 1.1, in which `no` and `on` are booleans, `2024-01-01` is a date, `1_000` and `12:30` are whole
numbers, and `1e-3` is a text. Here only `1e-3` is a number; the others are texts. Every key is a text, as it is typed.
ruamel.yaml, whose 1.2 takes `1_000` and dates as well, would need the same table.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import TypeAlias

import yaml

#: What YAML and JSON can express; a value of any other type is a mistake of the person who wrote it.
YamlValue: TypeAlias = "str | int | float | bool | list[YamlValue] | dict[str, YamlValue] | None"

_TAG = "tag:yaml.org,2002:"
_UNRESOLVED = "?"
_NULL = re.compile(r"~|null|Null|NULL|")
_BOOLEAN = re.compile(r"true|True|TRUE|false|False|FALSE")
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_SURROGATE = re.compile("[\ud800-\udfff]")


class _Loader(yaml.SafeLoader):
    """Gives every plain scalar the tag `?` of YAML (6.9.1), not resolved yet, so that its text stays as typed."""


_Loader.yaml_implicit_resolvers = {None: [(_UNRESOLVED, re.compile(""))]}


def compose(text: str) -> yaml.Node | None:
    """Parse one YAML document and return its root; None if there is none.

    Raises:
        yaml.YAMLError: it is not valid YAML, there are several documents, or it is nested too deeply.
    """
    try:
        return yaml.compose(spaces_for_tabs(text), Loader=_Loader)
    except RecursionError as error:
        raise yaml.YAMLError("it is nested too deeply") from error
    except ValueError as error:  # an escape that is no character
        raise yaml.YAMLError(str(error)) from error


def spaces_for_tabs(text: str) -> str:
    """Return JSON with a space for each tab, which PyYAML takes nowhere in JSON; any other text as it is."""
    return text.replace("\t", " ") if "\t" in text and _is_json(text) else text


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def construct(node: yaml.Node) -> YamlValue:
    """Return the value of a node, its scalars read by the core schema.

    Raises:
        yaml.YAMLError: a key is given twice or is not a text, or an alias refers to what encloses it.
    """
    return _construct(node, frozenset())


def is_plain(node: yaml.Node) -> bool:
    """Whether a node is a scalar without quotes and without a tag, which the schema resolves."""
    return isinstance(node, yaml.ScalarNode) and node.tag == _UNRESOLVED


def is_null(node: yaml.Node) -> bool:
    """Whether a node is `null`, `~` or empty."""
    return isinstance(node, yaml.ScalarNode) and _scalar(node) is None


def is_empty(node: yaml.Node) -> bool:
    """Whether nothing is written where a value belongs."""
    return is_plain(node) and node.value == ""


def text_of(node: yaml.ScalarNode) -> str:
    """Return the text of a scalar as it was typed; JSON writes rare characters as two escapes.

    Raises:
        yaml.YAMLError: it has only one of the two.
    """
    try:
        return join_surrogates(str(node.value))
    except ValueError as error:
        raise yaml.constructor.ConstructorError(
            problem="it contains half of a character", problem_mark=node.start_mark
        ) from error


def join_surrogates(text: str) -> str:
    r"""Return a text in which what JSON writes as two escapes, such as `\ud83d\ude00`, is one character.

    Raises:
        ValueError: it has only one of the two.
    """
    return text.encode("utf-16", "surrogatepass").decode("utf-16") if _SURROGATE.search(text) else text


def items(node: yaml.MappingNode) -> Iterator[tuple[str, yaml.Node]]:
    """Yield the keys and the nodes of a mapping.

    Raises:
        yaml.YAMLError: a key is given twice or is not a text.
    """
    seen = set()
    for key_node, value_node in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise yaml.constructor.ConstructorError(problem="a key must be a text", problem_mark=key_node.start_mark)
        key = text_of(key_node)
        if key in seen:
            raise yaml.constructor.ConstructorError(
                problem=f"the key {key!r} is given twice", problem_mark=key_node.start_mark
            )
        seen.add(key)
        yield key, value_node


def _construct(node: yaml.Node, enclosing: frozenset[int]) -> YamlValue:
    if id(node) in enclosing:
        raise yaml.constructor.ConstructorError(
            problem="an alias refers to what encloses it", problem_mark=node.start_mark
        )
    enclosing |= {id(node)}
    match node:
        case yaml.SequenceNode():
            return [_construct(item, enclosing) for item in node.value]
        case yaml.MappingNode():
            return {key: _construct(value, enclosing) for key, value in items(node)}
        case yaml.ScalarNode():
            return _scalar(node)
    raise TypeError(node)


def _scalar(node: yaml.ScalarNode) -> str | int | float | bool | None:
    text = text_of(node)
    tag = str(node.tag)
    readings: dict[str, tuple[re.Pattern[str], Callable[[], bool | int | float | None]]] = {
        f"{_TAG}null": (_NULL, lambda: None),
        f"{_TAG}bool": (_BOOLEAN, lambda: text.lower() == "true"),
        f"{_TAG}int": (_INTEGER, lambda: int(text, 0) if text.startswith(("0o", "0x")) else int(text)),
        f"{_TAG}float": (_FLOAT, lambda: float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))),
    }
    for kind, (pattern, read) in readings.items():
        if tag in (_UNRESOLVED, kind) and pattern.fullmatch(text):
            try:
                return read()
            except ValueError as error:  # Python's limit
                raise yaml.constructor.ConstructorError(
                    problem="a number has too many digits", problem_mark=node.start_mark
                ) from error
    if tag not in (_UNRESOLVED, f"{_TAG}str"):
        raise yaml.constructor.ConstructorError(
            problem=f"{tag} is not a tag of the core schema, or does not fit {text!r}", problem_mark=node.start_mark
        )
    return text

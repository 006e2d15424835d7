"""Reads `fleet.yaml` and `site.yaml`; a mistake in them is a sentence with file and line."""

import re
from collections.abc import Iterator
from typing import TypeVar

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from kfp_edge.errors import GitError, ParameterError
from kfp_edge.fleet.contracts import Contract, Fleet, Site
from kfp_edge.gitops.layout import FLEET, SITES, find_earlier_layout, site_file
from kfp_edge.gitops.tree import Checkout, Tree
from kfp_edge.suggestions import did_you_mean

#: What to do about a repository of earlier versions.
FROM_EARLIER_LAYOUT = (
    "start a fleet in a new folder with `kfp-edge fleet init` and `kfp-edge fleet add-site` (docs/fleet-owner.md, From "
    "a repository without rings)"
)
#: What may be an anchor or an alias; the asterisks of a cron schedule are none.
_REFERENCE = re.compile(r"[&*][\w-]")
_CREDENTIALS = re.compile("://[^/@]*@")
_Model = TypeVar("_Model", bound=Contract)
Location = tuple[str | int, ...]


class DocumentError(GitError):
    """A file of the repository is not what it has to be.

    Attributes:
        file: its path.
        line: the line, counted from 1; 0 for the whole file.
        reason: what is wrong there, and what to do.
    """

    def __init__(self, file: str, line: int, reason: str) -> None:
        where = f"{file}, line {line}" if line else file
        super().__init__(f"{where}: {reason}")
        self.file = file
        self.line = line
        self.reason = reason


def read_fleet(tree: Tree) -> Fleet:
    """Return what `fleet.yaml` says.

    Raises:
        DocumentError: there is none, or it is not valid.
    """
    data = tree.read(FLEET)
    if data is None:
        raise DocumentError(FLEET, 0, _explain_missing(tree))
    return parse_document(Fleet, data, FLEET)


def _explain_missing(tree: Tree) -> str:
    if earlier := find_earlier_layout(tree.list_files(SITES)):
        return f"is missing, and {earlier} is of the layout without rings; {FROM_EARLIER_LAYOUT}."
    if not isinstance(tree, Checkout):
        return "is missing; create it with `kfp-edge fleet init`."
    remedy = "name the checkout of the fleet's repository with --repository"
    if not tree.folder.is_dir():
        return f"there is no folder {tree.folder}; {remedy}."
    return f"is missing in {tree.folder.resolve()}; {remedy}, or start one with `kfp-edge fleet init`."


def read_site(tree: Tree, site: str) -> Site:
    """Return what the `site.yaml` of a site says.

    Raises:
        DocumentError: there is none, or it is not valid.
    """
    path = site_file(site)
    data = tree.read(path)
    if data is None:
        known = {file.split("/")[1] for file in tree.list_files(SITES)}
        raise DocumentError(path, 0, f"is missing; {did_you_mean(site, known)}name a folder of {SITES}/.")
    return parse_document(Site, data, path)


def parse_document(model: type[_Model], data: bytes, file: str) -> _Model:
    """Return the contents of a file.

    Raises:
        DocumentError: it is no such document.
    """
    node = parse_yaml(data, file)
    if not isinstance(node, yaml.MappingNode):
        raise DocumentError(file, 0, f"is no mapping; it has to begin with `apiVersion` and `kind: {model.__name__}`.")
    try:
        return model.model_validate(_to_value(node))
    except (yaml.YAMLError, ValueError, TypeError) as error:
        if not isinstance(error, ValidationError):
            raise DocumentError(file, 0, "has a key or a value that is no plain text, number or list.") from error
        errors = error.errors()
        # a list with a mistake in it counts as empty, too
        inner = [each for each in errors if not any(_encloses(each["loc"], other["loc"]) for other in errors)]
        first = min(inner, key=lambda each: _line(node, each["loc"]))
        raise DocumentError(file, _line(node, first["loc"]), _describe(model, first)) from error


def parse_settings(model: type[_Model], value: object, name: str) -> _Model:
    """Return a mapping of a parameter as a part of `fleet.yaml`.

    Raises:
        ParameterError: it is not valid.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise ParameterError(f"{name}: {describe_invalid(model, error)}") from error


def describe_invalid(model: type[Contract], error: ValidationError) -> str:
    """Return the first thing that is wrong with the values of a contract, without credentials that are in them."""
    return _describe(model, error.errors()[0])


def parse_yaml(data: bytes, file: str) -> yaml.Node | None:
    """Return the nodes of a YAML file, None for an empty one.

    Raises:
        DocumentError: it is no YAML, has an anchor or an alias, or a key twice.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise DocumentError(file, 0, "is not UTF-8 text.") from error
    try:
        for token in yaml.scan(text, _Loader) if _REFERENCE.search(text) else ():
            if isinstance(token, yaml.AnchorToken | yaml.AliasToken):
                line = token.start_mark.line + 1
                raise DocumentError(file, line, "has an anchor or an alias; write the value where it is needed.")
        node = yaml.compose(text, _Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or "it cannot be read"
        raise DocumentError(file, mark.line + 1 if mark else 0, f"is not valid YAML: {reason}.") from error
    for key in _repeated_keys(node):
        raise DocumentError(file, key.start_mark.line + 1, f"has {key.value} twice; keep one of them.")
    return node


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML's plain values; a text that looks like a date stays a text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}


def _to_value(node: yaml.Node) -> object:
    """Return the value of a node.

    Plain mappings, lists and texts are nearly all that a fleet of thousands of sites consists of; they do not pay for
    what a constructor of YAML does besides.

    Raises:
        yaml.YAMLError: a key or a value has another type than YAML's own ones.
        ValueError: a value is not what its type promises.
        TypeError: a mapping or a list is a key.
    """
    match node:
        case yaml.ScalarNode(tag="tag:yaml.org,2002:str"):
            return node.value
        case yaml.MappingNode(tag="tag:yaml.org,2002:map"):
            return {_to_value(key): _to_value(value) for key, value in node.value}
        case yaml.SequenceNode(tag="tag:yaml.org,2002:seq"):
            return [_to_value(item) for item in node.value]
    return _Loader("").construct_document(node)


def _repeated_keys(node: yaml.Node | None) -> Iterator[yaml.ScalarNode]:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    yield key
                seen.add(key.value)
            yield from _repeated_keys(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _repeated_keys(item)


def _encloses(location: Location, other: Location) -> bool:
    return len(location) < len(other) and other[: len(location)] == location


def _line(node: yaml.Node, location: Location) -> int:
    """Return the line of a value, or of what encloses it where it is missing."""
    line = node.start_mark.line
    for key in location:
        if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            node = node.value[key]
            line = node.start_mark.line
        elif isinstance(node, yaml.MappingNode):
            pair = next((each for each in node.value if each[0].value == key), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line, pair[1]
    return line + 1


def _describe(model: type[Contract], error: ErrorDetails) -> str:
    path = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in error["loc"]).removeprefix(".")
    value, reason = error["input"], error["msg"].removeprefix("Value error, ")
    if isinstance(value, str):
        value = _CREDENTIALS.sub("://***@", value)
    match error["type"]:
        case "missing":
            sentence = f"has no {path}; add it."
        case "extra_forbidden":
            hint = did_you_mean(str(error["loc"][-1]), _known_keys(model, error["loc"]))
            sentence = f"has the key {path}, which is not known; {hint}{'Otherwise remove' if hint else 'remove'} it."
        case "too_short":
            sentence = f"{path} is empty; it needs at least one entry."
        case "tuple_type" | "dict_type" | "model_type":
            sentence = f"{path} has to be a {'list' if error['type'] == 'tuple_type' else 'mapping'}."
        case "string_type":
            sentence = f"{path} is {value!r}, which YAML reads as no text; put it into quotes."
        case "value_error":
            sentence = f"{path} is {value!r}; it {reason}." if path else f"{reason}."
        case _:
            sentence = f"{path} is {value!r}: {reason[0].lower()}{reason[1:]}."
    return sentence


def _known_keys(model: type[Contract], location: Location) -> list[str]:
    """Return the keys of the mapping in which the last key of a location stands."""
    fields = model.model_fields
    for key in location[:-1]:
        if isinstance(key, int):
            continue
        types = [
            each for name, field in fields.items() if key in (field.alias, name) for each in _types(field.annotation)
        ]
        nested = next((each for each in types if issubclass(each, Contract)), None)
        if nested is None:
            return []
        fields = nested.model_fields
    return [field.alias or name for name, field in fields.items()]


def _types(annotation: object) -> Iterator[type]:
    arguments = getattr(annotation, "__args__", ())
    if isinstance(annotation, type) and not arguments:
        yield annotation
    for argument in arguments:
        yield from _types(argument)

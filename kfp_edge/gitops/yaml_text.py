"""Edit scalars in a YAML text without changing any other byte.

The text is parsed to find a value, and only its characters are replaced. Writing the parsed form back would lose its
author's indentation, quotes and line ends.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from kfp_edge.errors import GitError

#: Keys and indices from the top of a document to one of its values.
Path = tuple[str | int, ...]

# What every reader of YAML takes for a text without quotes.
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9+./_@-]*(:[A-Za-z0-9+./_@-]+)*")
_NOT_A_TEXT = re.compile(r"(?i:true|false|yes|no|on|off|null|y|n)")


@dataclass(frozen=True)
class Edit:
    """A new text for one value of a document."""

    path: Path
    value: str


def edit_text(text: str, edits: Sequence[Edit], *, file: str) -> str:
    """Return a YAML text in which some values are other texts, and all other bytes are the same.

    Quotes stay; a plain value gets double quotes where it would not be read as a text without them.

    Args:
        text: One YAML document, with its own line ends.
        edits: The new values.
        file: The name of the file in errors.

    Raises:
        GitError: the text is not one YAML document, has no scalar at a path, or a value cannot be replaced without
            changing something else (an anchor, an alias, a block scalar).
    """
    document = parse_node(text, file)
    changed = [edit for edit in edits if scalar(find_node(document, edit.path)) != edit.value]
    spans = [(*find_span(text, document, edit.path, file), edit) for edit in changed]
    edited = text
    for start, end, edit in sorted(spans, key=lambda span: span[0], reverse=True):
        edited = edited[:start] + _write_scalar(edit.value, text[start]) + edited[end:]
    expected = parse(text, file)
    for edit in edits:
        _assign(expected, edit.path, edit.value)
    if parse(edited, file) != expected:
        names = " and ".join(format_path(edit.path) for edit in edits)
        raise GitError(
            f"{names} in {file} cannot be changed without changing something else; write it there without anchors, "
            "aliases or other YAML shorthand."
        )
    return edited


def append_item(text: str, path: Path, item: str, *, file: str) -> str:
    """Return a YAML text with one more item at the end of a list, and all other bytes the same.

    Args:
        text: One YAML document, with its own line ends.
        path: Where the list is.
        item: The item as flow style, such as `"press"` or `{name: a, newName: b}`.
        file: The name of the file in errors.

    Raises:
        GitError: the text is not one YAML document, has no list there, or the list is written with anchors or aliases.
    """
    document = parse_node(text, file)
    node, parent = find_node(document, path), find_node(document, path[:-1])
    if not isinstance(node, SequenceNode):
        raise GitError(f"{file} has no list at {format_path(path)}; write `{format_path(path)}: []` there.")
    line_end = "\r\n" if "\r\n" in text else "\n"
    if not node.value and isinstance(parent, MappingNode) and not parent.flow_style:
        start = node.start_mark.index
        indent = " " * (parent.start_mark.column + 2)
        edited = f"{text[:start].rstrip()}{line_end}{indent}- {item}{text[node.end_mark.index :]}"
    elif node.flow_style:
        end = node.end_mark.index - 1
        edited = f"{text[:end].rstrip() if node.value else text[:end]}{', ' if node.value else ''}{item}{text[end:]}"
    else:
        last = node.value[-1]
        content = text[: last.end_mark.index].rstrip()
        end = text.find("\n", len(content))
        head, tail = (text, "") if end < 0 else (text[: end + 1], text[end + 1 :])
        separator = "" if head.endswith("\n") else line_end
        edited = f"{head}{separator}{' ' * node.start_mark.column}- {item}{line_end}{tail}"
    expected = parse(text, file)
    items_there = expected
    for key in path:
        items_there = items_there[key]
    items_there.append(parse(item, file))
    if parse(edited, file) != expected:
        raise GitError(f"{format_path(path)} in {file} cannot be added to; add {item} there by hand.")
    return edited


def find_span(text: str, document: Node | None, path: Path, file: str) -> tuple[int, int]:
    """Return start and end of the scalar at a path, with its quotes.

    Raises:
        GitError: there is none, or it is written in a way that cannot be edited.
    """
    node = find_node(document, path)
    if not isinstance(node, ScalarNode):
        raise GitError(f"{file} has no text at {format_path(path)}; write one there, which is then replaced.")
    start, end = node.start_mark.index, node.end_mark.index
    quote = node.style if node.style in ("'", '"') else ""
    where = f"{file}, line {node.start_mark.line + 1},"
    if node.anchor:
        raise GitError(
            f"{where} has the anchor &{node.anchor} at {format_path(path)}, which other values may use; write the "
            "value where it is needed, without anchor and alias."
        )
    if text[start:end] != f"{quote}{node.value}{quote}" or not node.value:
        raise GitError(
            f"{where} writes {format_path(path)} in a way that cannot be edited; write it as one plain or quoted text."
        )
    return start, end


def find_node(document: Node | None, path: Path) -> Node | None:
    """Return the node at a path, or None."""
    node = document
    for key in path:
        if isinstance(key, int):
            node = node.value[key] if isinstance(node, SequenceNode) and key < len(node.value) else None
        else:
            node = get(node, key)
    return node


def get(node: Node | None, key: str) -> Node | None:
    """Return the value of a key of a mapping, None where there is none."""
    if not isinstance(node, MappingNode):
        return None
    return next((value for name, value in node.value if scalar(name) == key), None)


def scalar(node: Node | None) -> str | None:
    """Return the text of a scalar, None for any other node."""
    return node.value if isinstance(node, ScalarNode) else None


def items(node: Node | None) -> list[Node]:
    """Return the items of a sequence, none for any other node."""
    return list(node.value) if isinstance(node, SequenceNode) else []


def format_path(path: Path) -> str:
    """Return a path as people write it: `images[0].digest`."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return text.removeprefix(".")


def parse(text: str, file: str) -> Any:
    """Return the value of a YAML document.

    Raises:
        GitError: it is not valid YAML, with the line.
    """
    return _parse(text, file, "load")


def parse_node(text: str, file: str) -> Node | None:
    """Return the nodes of a YAML document, None for an empty one.

    Raises:
        GitError: it is not valid YAML, with the line.
    """
    node: Node | None = _parse(text, file, "compose")
    return node


def _parse(text: str, file: str, step: str) -> Any:
    try:
        return getattr(YAML(typ="safe", pure=True), step)(text)
    except RecursionError:
        raise GitError(f"{file} is not valid YAML: it is nested too deeply.") from None
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = file if mark is None else f"{file}, line {mark.line + 1}"
        raise GitError(
            f"{where}, is not valid YAML: {getattr(error, 'problem', None) or 'it cannot be read'}."
        ) from error


def _write_scalar(value: str, first: str) -> str:
    if first in ("'", '"'):
        return f"{first}{value}{first}"
    return value if _PLAIN.fullmatch(value) and not _NOT_A_TEXT.fullmatch(value) else f'"{value}"'


def _assign(document: Any, path: Path, value: str) -> None:
    for key in path[:-1]:
        document = document[key]
    document[path[-1]] = value

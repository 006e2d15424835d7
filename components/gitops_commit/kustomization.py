"""A typed edit of a kustomization: one image moves, every other byte stays.

The text is read as YAML to find where the two values stand, and only those characters are replaced. Writing
it back from the parsed form would lose its author's indentation, quotes and line ends.
"""

from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from kfp_edge.errors import KfpEdgeError


def set_image(text: str, name: str, new_name: str, digest: str, *, file: str) -> str:
    """Return a kustomization whose `images` entry `name` has this `newName` and `digest`.

    The text comes back as it was where the entry has them already.

    Args:
        text: The whole file, with its line ends as they are.
        name: `name` of the entry in `images`.
        new_name: Repository of the image, without tag or digest.
        digest: `sha256:` and 64 hex digits.
        file: How an error names the file.

    Raises:
        KfpEdgeError: the text is not a kustomization with exactly one such entry, or a value cannot be replaced
            without changing something else (an anchor, an alias, a block scalar).
    """
    wanted = {"newName": new_name, "digest": digest}
    index, entry = _entry(text, name, file)
    spans = [_span(text, entry, key, value, file) for key, value in wanted.items()]
    edited = text
    for start, end, value in sorted(spans, reverse=True):
        edited = edited[:start] + value + edited[end:]
    expected = _load(text, file)
    expected["images"][index].update(wanted)
    if _load(edited, file) != expected:
        raise KfpEdgeError(
            f"the image {name} in {file} cannot be changed without changing something else; "
            "write its newName and digest there without anchors, aliases or other YAML shorthand."
        )
    return edited


def _entry(text: str, name: str, file: str) -> tuple[int, MappingNode]:
    images = _child(_parse(text, file, "compose"), "images")
    entries = enumerate(images.value if isinstance(images, SequenceNode) else [])
    found = [(index, entry) for index, entry in entries if _value(_child(entry, "name")) == name]
    if len(found) != 1:
        raise KfpEdgeError(
            f"{file} has {len(found) or 'no'} entries named {name} under images; leave exactly one there, "
            "with name, newName and digest."
        )
    return found[0]


def _span(text: str, entry: MappingNode, key: str, value: str, file: str) -> tuple[int, int, str]:
    """Where the scalar `key` of the entry stands, and what replaces it, in the quotes that it has."""
    node = _child(entry, key)
    if not isinstance(node, ScalarNode):
        raise KfpEdgeError(f"{file} has no {key} in its image {_value(_child(entry, 'name'))}; add `{key}: ...` there.")
    start, end = node.start_mark.index, node.end_mark.index
    quote = node.style if node.style in ("'", '"') else ""
    if text[start:end] != f"{quote}{node.value}{quote}":
        raise KfpEdgeError(f"{file} writes {key} in a way that cannot be edited; write it there as a plain text.")
    return start, end, f"{quote}{value}{quote}"


def _child(node: Node | None, key: str) -> Node | None:
    if not isinstance(node, MappingNode):
        return None
    return next((value for name, value in node.value if _value(name) == key), None)


def _value(node: Node | None) -> str | None:
    return node.value if isinstance(node, ScalarNode) else None


def _load(text: str, file: str) -> Any:
    return _parse(text, file, "load")


def _parse(text: str, file: str, step: str) -> Any:
    try:
        return getattr(YAML(typ="safe", pure=True), step)(text)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = file if mark is None else f"{file}, line {mark.line + 1}"
        raise KfpEdgeError(
            f"{where}, is not valid YAML: {getattr(error, 'problem', None) or 'it cannot be read'}."
        ) from error

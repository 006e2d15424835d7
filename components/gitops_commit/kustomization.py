"""Edit an image in a kustomization without changing any other byte.

The text is parsed as YAML to find the two values, and only their characters are replaced. Writing the parsed form back
would lose its author's indentation, quotes and line ends.
"""

from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from kfp_edge.errors import GitError


def set_image(text: str, name: str, new_name: str, digest: str, *, file: str) -> str:
    """Return a kustomization whose `images` entry `name` has this `newName` and `digest`.

    The text is unchanged if the entry has them already.

    Args:
        text: The whole file, with its own line ends.
        name: `name` of the entry in `images`.
        new_name: Repository of the image, without tag or digest.
        digest: `sha256:` and 64 hex digits.
        file: The name of the file in errors.

    Raises:
        GitError: the text is not a kustomization with exactly one such entry, or a value cannot be replaced
            without changing something else (an anchor, an alias, a block scalar).
    """
    wanted = {"newName": new_name, "digest": digest}
    index, entry = _find_entry(text, name, file)
    spans = [_find_span(text, entry, key, value, file) for key, value in wanted.items()]
    edited = text
    for start, end, value in sorted(spans, reverse=True):
        edited = edited[:start] + value + edited[end:]
    expected = _load(text, file)
    expected["images"][index].update(wanted)
    if _load(edited, file) != expected:
        raise GitError(
            f"the image {name} in {file} cannot be changed without changing something else; "
            "write its newName and digest there without anchors, aliases or other YAML shorthand."
        )
    return edited


def _find_entry(text: str, name: str, file: str) -> tuple[int, MappingNode]:
    images = _get(_parse(text, file, "compose"), "images")
    entries = enumerate(images.value if isinstance(images, SequenceNode) else [])
    matching = [(index, entry) for index, entry in entries if _scalar(_get(entry, "name")) == name]
    if len(matching) != 1:
        raise GitError(
            f"{file} has {len(matching) or 'no'} entries named {name} under images; leave exactly one there, "
            "with name, newName and digest."
        )
    return matching[0]


def _find_span(text: str, entry: MappingNode, key: str, value: str, file: str) -> tuple[int, int, str]:
    """Return start and end of the scalar `key` of the entry, and its replacement in the same quotes."""
    node = _get(entry, key)
    if not isinstance(node, ScalarNode):
        raise GitError(f"{file} has no {key} in its image {_scalar(_get(entry, 'name'))}; add `{key}: ...` there.")
    start, end = node.start_mark.index, node.end_mark.index
    quote = node.style if node.style in ("'", '"') else ""
    if text[start:end] != f"{quote}{node.value}{quote}":
        raise GitError(f"{file} writes {key} in a way that cannot be edited; write it as plain text.")
    return start, end, f"{quote}{value}{quote}"


def _get(node: Node | None, key: str) -> Node | None:
    if not isinstance(node, MappingNode):
        return None
    return next((value for name, value in node.value if _scalar(name) == key), None)


def _scalar(node: Node | None) -> str | None:
    return node.value if isinstance(node, ScalarNode) else None


def _load(text: str, file: str) -> Any:
    return _parse(text, file, "load")


def _parse(text: str, file: str, step: str) -> Any:
    try:
        return getattr(YAML(typ="safe", pure=True), step)(text)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = file if mark is None else f"{file}, line {mark.line + 1}"
        raise GitError(
            f"{where}, is not valid YAML: {getattr(error, 'problem', None) or 'it cannot be read'}."
        ) from error

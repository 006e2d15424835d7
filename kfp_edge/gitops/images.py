"""The images of a kustomization: read, and edit one without changing any other byte."""

from dataclasses import dataclass

from ruamel.yaml.nodes import Node, ScalarNode

from kfp_edge.errors import GitError
from kfp_edge.gitops.yaml_text import Edit, edit_text, get, items, parse_node, scalar


@dataclass(frozen=True)
class Image:
    """An entry of `images`; what it does not have is empty."""

    name: str
    new_name: str = ""
    digest: str = ""


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
    index, entry = _find_entry(text, name, file)
    wanted = {"newName": new_name, "digest": digest}
    for key in wanted:
        if not isinstance(get(entry, key), ScalarNode):
            raise GitError(f"{file} has no {key} in its image {name}; add `{key}: ...` there.")
    return edit_text(text, [Edit(("images", index, key), value) for key, value in wanted.items()], file=file)


def read_images(text: str, *, file: str) -> list[Image]:
    """Return the entries of `images` of a kustomization.

    Raises:
        GitError: the text is not valid YAML.
    """
    entries = items(get(parse_node(text, file), "images"))
    return [Image(*(scalar(get(entry, key)) or "" for key in ("name", "newName", "digest"))) for entry in entries]


def read_image(text: str, name: str, *, file: str) -> Image:
    """Return the entry of `images` with this name.

    Raises:
        GitError: the text is not a kustomization with exactly one such entry.
    """
    _, entry = _find_entry(text, name, file)
    return Image(name, *(scalar(get(entry, key)) or "" for key in ("newName", "digest")))


def _find_entry(text: str, name: str, file: str) -> tuple[int, Node]:
    entries = enumerate(items(get(parse_node(text, file), "images")))
    matching = [(index, entry) for index, entry in entries if scalar(get(entry, "name")) == name]
    if len(matching) != 1:
        raise GitError(
            f"{file} has {len(matching) or 'no'} entries named {name} under images; leave exactly one there, "
            "with name, newName and digest."
        )
    return matching[0]

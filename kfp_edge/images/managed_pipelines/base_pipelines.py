"""The managed pipelines that the base of our image has, as Red Hat's own image does."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kfp_edge.errors import ImageError
from kfp_edge.images.bases import Base, DebianBase, ImageBase

#: The list of an image's pipelines, which both the operator and Red Hat's program in the image read.
MANIFEST_PATH = "app/managed-pipelines.json"
_SHELLS = ("bin/sh", "usr/bin/sh")


@dataclass(frozen=True)
class BasePipelines:
    """The managed pipelines of a base, such as Red Hat's image.

    Attributes:
        text: Its list of them.
        entries: What the text says of each.
        command: The program of the base that writes them.
    """

    text: bytes
    entries: Sequence[Mapping[str, Any]]
    command: Sequence[str]

    @property
    def names(self) -> list[str]:
        """The names of the pipelines."""
        return [str(entry["name"]) for entry in self.entries]


def read_base_pipelines(base: Base, name: str) -> BasePipelines | None:
    """Return the managed pipelines of a base, None if it has none.

    Raises:
        ImageError: it has no shell, or its list of pipelines cannot be read.
    """
    if isinstance(base, DebianBase):
        return None
    files = base.read_files([MANIFEST_PATH, *_SHELLS])
    if not files.keys() & set(_SHELLS):
        raise ImageError(f"the base {name} has no /bin/sh; name UBI 9 micro, or another image with a shell.")
    if MANIFEST_PATH not in files:
        return None
    text = files[MANIFEST_PATH]
    return BasePipelines(text, _parse_entries(text, name), _command(base))


def _parse_entries(text: bytes, name: str) -> list[dict[str, Any]]:
    try:
        entries = json.loads(text)
    except ValueError:
        entries = None
    if not isinstance(entries, list) or not all(isinstance(each, dict) and each.get("name") for each in entries):
        raise ImageError(f"/{MANIFEST_PATH} of the base {name} is no list of managed pipelines; name another base.")
    return entries


def _command(base: ImageBase) -> list[str]:
    settings = base.get_configuration().get("config", {})
    return [*(settings.get("Entrypoint") or []), *(settings.get("Cmd") or [])]

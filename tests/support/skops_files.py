"""Skops files, altered as no scikit-learn would write them."""

import io
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path


def rewrite(source: Path, target: Path, change: Callable[[str, bytes], bytes]) -> None:
    """Copy a skops file; `change` returns the new content of each member from its name and content."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(buffer, "w") as copy:
        for name in archive.namelist():
            copy.writestr(name, change(name, archive.read(name)))
    target.write_bytes(buffer.getvalue())


def copy_with(source: Path, target: Path, *replacements: tuple[str, str]) -> None:
    """Copy a skops file with texts in its schema replaced."""

    def change(name: str, data: bytes) -> bytes:
        text = data.decode() if name == "schema.json" else ""
        for old, new in replacements:
            text = text.replace(old, new)
        return text.encode() if text else data

    rewrite(source, target, change)


def set_attribute(path: Path, attribute: str, value: str | int) -> None:
    """Give all objects in a skops file that have an attribute, a text or a number, another value of it."""
    stated = rf'("{attribute}": \{{[^{{}}]*"content": )"(?:[^"\\]|\\.)*"'

    def change(name: str, data: bytes) -> bytes:
        if name != "schema.json":
            return data
        return re.sub(stated, lambda match: match[1] + json.dumps(json.dumps(value)), data.decode()).encode()

    rewrite(path, path, change)

"""Files that change while a server runs."""

from pathlib import Path


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file atomically, as Kubernetes does."""
    new = path.with_suffix(".new")
    new.write_bytes(content)
    new.replace(path)

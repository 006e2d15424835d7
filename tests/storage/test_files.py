"""Several files are written together: all of them, or none."""

from pathlib import Path

import pytest

from kfp_edge.errors import KfpEdgeError
from kfp_edge.storage.files import write_files


def contents(folder: Path) -> dict[str, bytes | None]:
    """Return what is below a folder: the bytes of each file, and None for a folder."""
    paths = sorted(folder.rglob("*"))
    return {str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes() for path in paths}


def test_all_files_are_written_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    write_files(tmp_path, {"a": b"new", "folder/below/b": b"b"})
    assert contents(tmp_path) == {"a": b"new", "folder": None, "folder/below": None, "folder/below/b": b"b"}


@pytest.mark.parametrize(
    ("refused", "reason"), [("file/d", "Not a directory|File exists"), ("folder", "Is a directory")]
)
def test_if_one_cannot_be_written_all_is_as_before(tmp_path: Path, refused: str, reason: str) -> None:
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "file").write_bytes(b"file")
    (tmp_path / "folder").mkdir()
    before = contents(tmp_path)
    with pytest.raises(KfpEdgeError, match=rf"cannot write \S+/{refused}: ({reason}); no file was changed\."):
        write_files(tmp_path, {"a": b"new", "b/c": b"c", refused: b"d"})
    assert contents(tmp_path) == before

"""Atomic writes of files and folders, canonical JSON and SHA-256."""

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from kfp_edge.errors import StorageError

#: A JSON object as the standard library reads it.
JsonObject = dict[str, Any]

_CHUNK_SIZE = 1 << 20
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def sha256_bytes(data: bytes) -> str:
    """Return the SHA-256 of `data` as 64 lower-case hex digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file as 64 lower-case hex digits, read in chunks."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_SIZE):
            digest.update(chunk)
    return digest.hexdigest()


def canonical_json(value: Any) -> bytes:
    """Return `value` as JSON whose bytes depend on nothing but the value (sorted keys, final newline)."""
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def read_json(path: Path) -> Any:
    """Return the JSON value in a file.

    Raises:
        StorageError: the file is missing, unreadable or not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}.") from error
    except ValueError as error:
        raise StorageError(f"{path} is not valid JSON ({error}); it is damaged or not the right file.") from error


def write_file(path: Path, data: bytes) -> None:
    """Write `data` to `path` as a whole or not at all, creating the folders above it.

    Raises:
        StorageError: the file system refuses (full, read-only, no permission).
    """
    with new_file(path) as stream:
        stream.write(data)


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files below a folder, all of them or none, creating the folders above them.

    Args:
        folder: The folder, which need not exist.
        files: What each file holds, by its path in the folder.

    Raises:
        StorageError: the file system refuses (full, read-only, no permission); then all is as it was before.
    """
    with ExitStack() as undo:
        temporary, old = {}, []
        for name, data in files.items():
            with _translate_errors(folder / name, "no file was changed"):
                temporary[name] = _write_beside(folder / name, data, undo)
        for name, new in temporary.items():
            with _translate_errors(folder / name, "no file was changed"):
                old += _exchange(folder / name, new, undo)
        undo.pop_all()
    for path in old:
        with _translate_errors(path, "all files are written"):
            path.unlink()


def _write_beside(path: Path, data: bytes, undo: ExitStack) -> Path:
    """Write a file into the folder of another one, and return it."""
    for folder in reversed(path.parents):
        if not folder.exists():
            folder.mkdir()
            undo.callback(folder.rmdir)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    undo.callback(temporary.unlink, missing_ok=True)
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)
    temporary.chmod(0o644)
    return temporary


def _exchange(path: Path, new: Path, undo: ExitStack) -> list[Path]:
    """Put a file in the place of another one, if there is one; return where that is now."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not os.path.lexists(path):
        undo.callback(path.unlink, missing_ok=True)
        new.replace(path)
        return []
    old = new.with_name(f"{new.name}.old")
    path.rename(old)
    undo.callback(old.replace, path)
    new.replace(path)
    return [old]


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a file that becomes `path`, in place of what is there, and is removed if the block raises.

    Raises:
        StorageError: the file system refuses (full, read-only, no permission).
    """
    with _translate_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as stream:
                yield stream
            temporary.chmod(0o644)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes `path`, in place of what is there, and is removed if the block raises.

    Raises:
        StorageError: the file system refuses (full, read-only, no permission).
    """
    with _translate_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        try:
            yield temporary
            temporary.chmod(0o755)
            if path.is_dir():
                shutil.rmtree(path)
            temporary.replace(path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _translate_errors(path: Path, outcome: str = "no incomplete file is left") -> Iterator[None]:
    """Raise a StorageError in place of an error of the operating system."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        remedy = "; free some space and run again" if error.errno in _DISK_FULL else ""
        raise StorageError(f"cannot write {path}: {reason}; {outcome}{remedy}.") from error

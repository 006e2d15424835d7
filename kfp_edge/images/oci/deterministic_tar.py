"""Tar archives whose bytes depend on nothing but what is in them.

`write_files` writes them as Buildah writes a layer, `write_trees` as Python does: released images consist of
both, so the bytes of neither may change.
"""

import shutil
import stat
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

_BLOCK = 512
# Fields of a ustar header (POSIX.1-2008, pax, "ustar Interchange Format").
_NAME_LENGTH = 100
_MODE = slice(100, 108)
_CHECKSUM = slice(148, 156)
_DEVICE = slice(329, 345)
_PREFIX = slice(345, 500)


def write_files(files: Mapping[str, Path], stream: BinaryIO, epoch: int) -> None:
    """Write files by their path in the archive, in the order given, and before each the folders above it.

    All belong to root, folders have the mode 0755 and files 0644, and every time is `epoch`.
    """
    seen: set[str] = set()
    for name, file in files.items():
        for folder in reversed([str(above) for above in Path(name).parents][:-1]):
            if folder not in seen:
                stream.write(_buildah_header(folder, stat.S_IFDIR | 0o755, 0, epoch))
                seen.add(folder)
        size = file.stat().st_size
        stream.write(_buildah_header(name, stat.S_IFREG | 0o644, size, epoch))
        with file.open("rb") as source:
            shutil.copyfileobj(source, stream)
        stream.write(bytes(-size % _BLOCK))
    stream.write(bytes(2 * _BLOCK))


def _buildah_header(path: str, mode: int, size: int, epoch: int) -> bytes:
    """Return a header as Go's archive/tar writes it, so that the same files give the same layer as Buildah's.

    Readers ignore how it differs from Python's header: the mode includes the file type, the device numbers are zeros
    in digits, and a long path is split at its last slash.
    """
    length = len(path) + stat.S_ISDIR(mode)  # a folder's path ends with a slash
    prefix, _, name = path.rpartition("/") if length > _NAME_LENGTH else ("", "", path)
    info = tarfile.TarInfo(name)
    info.type = tarfile.DIRTYPE if stat.S_ISDIR(mode) else tarfile.REGTYPE
    info.mode, info.size, info.mtime = mode, size, epoch
    header = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
    header[_MODE] = b"%07o\0" % mode
    header[_DEVICE] = b"0000000\0" * 2
    header[_PREFIX] = prefix.encode("ascii").ljust(155, b"\0")
    header[_CHECKSUM] = b" " * 8
    header[_CHECKSUM] = b"%06o\0 " % sum(header)
    return bytes(header)


def write_trees(trees: Sequence[tuple[Path, str]], stream: BinaryIO) -> None:
    """Write folders and the paths in the archive where their contents lie, sorted by path.

    All belong to root, modes are 0755 for folders, links and programs and 0644 for the rest, and every time is 0,
    whatever the umask and the hour were. An empty path is the root of the archive.
    """
    entries: dict[str, Path | None] = {}
    for folder, target in trees:
        parts = target.strip("/").split("/") if target else []
        for depth in range(1, len(parts)):
            entries["/".join(parts[:depth])] = None
        for path in [folder, *folder.rglob("*")] if target else folder.rglob("*"):
            entries["/".join([*parts, *path.relative_to(folder).parts])] = path
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in sorted(entries):
            _write_entry(archive, name, entries[name])


def _write_entry(archive: tarfile.TarFile, name: str, path: Path | None) -> None:
    """Write an entry; one without a path is a folder above those that were named."""
    if path is None:
        entry = tarfile.TarInfo(name)
        entry.type = tarfile.DIRTYPE
    else:
        entry = archive.gettarinfo(path, name)
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    if name == "tmp":
        entry.mode = 0o1777
    else:
        entry.mode = 0o755 if entry.isdir() or entry.issym() or entry.mode & 0o100 else 0o644
    if path is not None and entry.isreg():
        with path.open("rb") as stream:
            archive.addfile(entry, stream)
    else:
        archive.addfile(entry)

"""The archive: a tar of an OCI image layout, with a git bundle, a list of its files and the signature of that list.

    archive.json            what it is for, and the checksum of each file below
    archive.json.sig        Ed25519, of the bytes of archive.json
    oci-layout, index.json  an OCI image layout: a reader of `oci-archive:` finds in it what was not left out
    blobs/sha256/HEX        manifests, configurations and layers
    fleet.bundle            git bundle of the branch that the sites follow

Nothing of it is unpacked by the names in it: a member that is not in the signed list is refused.
"""

import hashlib
import io
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from kfp_edge.errors import StorageError
from kfp_edge.mirror.contracts import ArchiveContents, Member, parse_json, to_json
from kfp_edge.mirror.signatures import is_signed
from kfp_edge.storage.files import new_file, sha256_bytes, sha256_file

BUNDLE = "fleet.bundle"
_CONTENTS = "archive.json"
_SIGNATURE = "archive.json.sig"
_SIGNATURE_SIZE = 64
#: Above what the longest list of files takes.
_MAX_CONTENTS = 64 << 20
_NAME = re.compile(r"oci-layout|index\.json|fleet\.bundle|blobs/sha256/[0-9a-f]{64}")
_CHUNK_SIZE = 1 << 20
#: What reading a damaged tar raises, or a medium that cannot be read.
_UNREADABLE = (tarfile.TarError, OSError, ValueError)
_NOT_LOADED = "nothing was loaded"


def blob_name(digest: str) -> str:
    """Return the name of a blob in an archive."""
    return f"blobs/{digest.replace(':', '/')}"


def describe_members(files: Mapping[str, Path | bytes]) -> tuple[Member, ...]:
    """Return the list of the files of an archive with their checksums."""
    return tuple(
        Member(name=name, size=len(file), sha256=sha256_bytes(file))
        if isinstance(file, bytes)
        else Member(name=name, size=file.stat().st_size, sha256=sha256_file(file))
        for name, file in files.items()
    )


def write_archive(
    target: Path, contents: ArchiveContents, files: Mapping[str, Path | bytes], key: Ed25519PrivateKey
) -> None:
    """Write an archive as a whole or not at all.

    Args:
        target: The file.
        contents: What is in it; `members` describes `files`.
        files: The files by their names, or their bytes.
        key: The key that signs it.

    Raises:
        StorageError: the file system refuses (full, read-only, no permission).
    """
    data = to_json(contents)
    with new_file(target) as stream, tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, file in {_CONTENTS: data, _SIGNATURE: key.sign(data), **files}.items():
            member = tarfile.TarInfo(name)
            member.mode = 0o644
            if isinstance(file, bytes):
                member.size = len(file)
                tar.addfile(member, io.BytesIO(file))
            else:
                member.size = file.stat().st_size
                with file.open("rb") as opened:
                    tar.addfile(member, opened)


@dataclass(frozen=True)
class Archive:
    """An archive whose signature and checksums are verified."""

    contents: ArchiveContents
    _tar: tarfile.TarFile
    _members: Mapping[str, tarfile.TarInfo]

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def open(self, name: str) -> BinaryIO:
        """Open a file of the archive."""
        return cast(BinaryIO, self._tar.extractfile(self._members[name]))

    def read(self, name: str) -> bytes:
        """Return a file of the archive."""
        with self.open(name) as stream:
            return stream.read()


@contextmanager
def open_archive(file: Path, site: str, keys: Iterable[Ed25519PublicKey]) -> Iterator[Archive]:
    """Verify an archive for a site, the signature first and then every file, and yield it.

    Raises:
        StorageError: it is for another site, not signed by one of the keys, altered, damaged, or cut short.
    """
    try:
        tar = tarfile.open(file, mode="r:")  # noqa: SIM115
    except OSError as error:
        raise StorageError(f"cannot read {file}: {error.strerror}.") from error
    except tarfile.TarError as error:
        raise _refusal(file, "is no archive of `kfp-edge mirror export`", "copy it again") from error
    with tar:
        contents = _read_contents(file, tar, list(keys))
        if contents.site != site:
            raise _refusal(file, f"is for the site {contents.site}, not for {site}", f"take the one for {site}")
        yield Archive(contents, tar, _verify(file, tar, contents))


def _read_contents(file: Path, tar: tarfile.TarFile, keys: list[Ed25519PublicKey]) -> ArchiveContents:
    """Return the list of files after its signature was verified: before that, no byte of it is looked at."""
    data = _read_next(file, tar, _CONTENTS, _MAX_CONTENTS)
    signature = _read_next(file, tar, _SIGNATURE, _SIGNATURE_SIZE)
    if not is_signed(data, signature, keys):
        raise _refusal(
            file,
            "was not signed by the key that was given, or was altered afterwards",
            "ask the owner of the fleet for the public key and for the archive",
        )
    contents = parse_json(ArchiveContents, data, file)
    for member in contents.members:
        if not _NAME.fullmatch(member.name):
            raise _refusal(file, f"lists a file {member.name!r}, which no archive has", "ask the owner of the fleet")
    return contents


def _read_next(file: Path, tar: tarfile.TarFile, name: str, limit: int) -> bytes:
    try:
        member = tar.next()
        if member is None or member.name != name or not member.isreg() or member.size > limit:
            raise _refusal(file, "is no archive of `kfp-edge mirror export`", "copy it again")
        with cast(BinaryIO, tar.extractfile(member)) as stream:
            return stream.read()
    except _UNREADABLE as error:
        raise _unreadable(file, name, error) from error


def _verify(file: Path, tar: tarfile.TarFile, contents: ArchiveContents) -> dict[str, tarfile.TarInfo]:
    expected = {member.name: member for member in contents.members}
    verified: dict[str, tarfile.TarInfo] = {}
    try:
        while (info := tar.next()) is not None:
            member = expected.get(info.name)
            if member is None or not info.isreg() or info.name in verified:
                raise _refusal(file, f"has a member {info.name!r} that was not signed", "copy it again")
            if info.size != member.size or _checksum(tar, info) != member.sha256:
                raise _refusal(file, f"was altered or damaged: {info.name} is not what was signed", "copy it again")
            verified[info.name] = info
    except _UNREADABLE as error:
        name = next((name for name in expected if name not in verified), _CONTENTS)
        raise _unreadable(file, name, error) from error
    for name in expected:
        if name not in verified:
            raise _cut_short(file, name)
    return verified


def _checksum(tar: tarfile.TarFile, info: tarfile.TarInfo) -> str:
    digest = hashlib.sha256()
    with cast(BinaryIO, tar.extractfile(info)) as stream:
        while chunk := stream.read(_CHUNK_SIZE):
            digest.update(chunk)
    return digest.hexdigest()


def _unreadable(file: Path, name: str, error: Exception) -> StorageError:
    if isinstance(error, OSError):
        return _refusal(file, f"cannot be read: {error.strerror}", "copy it again")
    return _cut_short(file, name)


def _cut_short(file: Path, name: str) -> StorageError:
    return _refusal(file, f"was cut short: {name} is not there as a whole", "copy it again")


def _refusal(file: Path, reason: str, remedy: str) -> StorageError:
    return StorageError(f"{file} {reason}; {_NOT_LOADED}. {remedy[0].upper()}{remedy[1:]}.")

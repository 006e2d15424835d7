"""Unpacking Debian packages into a root filesystem, without running anything."""

import io
import re
import shutil
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from kfp_edge.errors import ImageError
from kfp_edge.images.tools.command import run_tool

#: The folders that are links into `usr` (Debian's "merged /usr").
_MERGED = ("bin", "sbin", "lib", "lib64")
_CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"


def make_merged_usr(rootfs: Path) -> None:
    """Create the folder of a root filesystem, in which `/bin`, `/lib` and so on are links into `/usr`."""
    for name in _MERGED:
        (rootfs / "usr" / name).mkdir(parents=True)
        (rootfs / name).symlink_to(f"usr/{name}")


def unpack_package(package: Path, rootfs: Path, unused: re.Pattern[str], *, with_folders: bool) -> None:
    """Unpack the files of a package.

    Args:
        package: A .deb file.
        rootfs: A folder that `make_merged_usr` created.
        unused: Matches the beginning of paths, without the first slash, that are left out.
        with_folders: Whether to create all folders of the package, with their modes; else only those that files need.

    Raises:
        ImageError: it is no package.
    """
    done = subprocess.run(["dpkg-deb", "--fsys-tarfile", package], capture_output=True, check=False)
    if done.returncode != 0:
        raise ImageError(f"{package.name} cannot be unpacked: {done.stderr.decode().strip()}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        for member in archive:
            path = _merged(member.name)
            if unused.match(path) or (member.isdir() and not with_folders):
                continue
            _write_member(archive, member, rootfs, rootfs / path)


def unpack_with_status(packages: Sequence[Path], rootfs: Path, unused: re.Pattern[str]) -> None:
    """Unpack packages into the new folder of a root filesystem that gets no package manager.

    It has what scanners read of the packages of such an image.

    Args:
        packages: .deb files.
        rootfs: A folder that does not exist yet.
        unused: As of `unpack_package`.

    Raises:
        ImageError: a file is no package.
    """
    make_merged_usr(rootfs)
    status = rootfs / "var/lib/dpkg/status.d"
    status.mkdir(parents=True)
    for package in packages:
        unpack_package(package, rootfs, unused, with_folders=False)
        name = package.name.partition("_")[0]
        (status / name).write_text(run_tool("dpkg-deb --field", ["dpkg-deb", "--field", package]))


def write_texts(rootfs: Path, texts: Mapping[str, str]) -> None:
    """Write files by their path in the root filesystem."""
    for path, text in texts.items():
        (rootfs / path).write_text(text)


def bundle_certificates(rootfs: Path) -> None:
    """Write the bundle that the installation of `ca-certificates` would create."""
    bundle = rootfs / _CERTIFICATES
    bundle.parent.mkdir(parents=True, exist_ok=True)
    certificates = sorted((rootfs / "usr/share/ca-certificates").rglob("*.crt"))
    bundle.write_bytes(b"".join(path.read_bytes() for path in certificates))


def link_openssl(rootfs: Path, **links: str) -> None:
    """Make links by their name in the folder where OpenSSL looks when no variable names another."""
    folder = rootfs / "usr/lib/ssl"
    folder.mkdir(parents=True, exist_ok=True)
    for name, target in links.items():
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target)


def _write_member(archive: tarfile.TarFile, member: tarfile.TarInfo, rootfs: Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if member.isdir():
        path.mkdir(exist_ok=True)
        path.chmod(member.mode)
    elif member.issym():
        if not path.is_dir():  # such as /bin, which newer packages bring as a link
            path.symlink_to(member.linkname)
    elif member.islnk():
        path.hardlink_to(rootfs / _merged(member.linkname))
    elif (content := archive.extractfile(member)) is not None:
        with content, path.open("wb") as stream:
            shutil.copyfileobj(content, stream)
        path.chmod(member.mode)


def _merged(name: str) -> str:
    path = PurePosixPath(name.removeprefix("./"))
    return str(PurePosixPath("usr", path) if path.parts and path.parts[0] in _MERGED else path)

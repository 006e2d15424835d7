"""The base from this machine's own distribution packages: a shell and the programs that it needs to copy files."""

import re
from pathlib import Path

from kfp_edge.images.tools.apt import Apt
from kfp_edge.images.tools.debian import unpack_with_status, write_texts

_SEEDS = ("dash", "coreutils")
#: What only installing packages needs.
_PRUNED = re.compile(r"debianutils|dpkg|debconf.*")
_UNUSED = re.compile(
    r"usr/share/(?!doc/[^/]+(/copyright)?$)|usr/s?bin/(?!(sh|dash|cat|cp|rm)$)|etc/|var/|"
    r"usr/lib/[^/]+/(gconv|audit)/|usr/libexec/"
)
_MOUNT_POINTS = ("dev", "proc", "run", "sys", "tmp")
_ACCOUNTS = {
    "etc/passwd": "root:x:0:0:root:/:/sbin/nologin\nkfp-edge:x:1001:0:kfp-edge:/:/sbin/nologin\n",
    "etc/group": "root:x:0:\n",
}


def assemble_rootfs(apt: Apt, rootfs: Path, downloads: Path) -> None:
    """Fill the new folder `rootfs`; the packages are fetched into the new folder `downloads`.

    Raises:
        ImageError: apt does not know a package, or one cannot be fetched or unpacked.
    """
    packages = apt.find_packages(apt.resolve_dependencies(_SEEDS, _PRUNED))
    apt.download(packages, downloads)
    unpack_with_status([downloads / package.file for package in packages], rootfs, _UNUSED)
    for name in (*_MOUNT_POINTS, "etc"):
        (rootfs / name).mkdir()
    write_texts(rootfs, _ACCOUNTS)
    shell = rootfs / "bin/sh"
    if not shell.is_symlink():
        shell.symlink_to("dash")

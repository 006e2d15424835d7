"""The runtime image's base from this machine's own distribution packages: Python, git and skopeo, no compiler."""

import hashlib
import json
import re
import tempfile
from pathlib import Path

from kfp_edge.images.tools.apt import Apt, AptPackage
from kfp_edge.images.tools.buildah import Buildah
from kfp_edge.images.tools.debian import bundle_certificates, link_openssl, make_merged_usr, unpack_package, write_texts

REPOSITORY = "localhost/kfp-edge/runtime-base"

# libc-bin has the locale by which text models change case
_SEEDS = (
    "python3",
    "git",
    "skopeo",
    "ca-certificates",
    "dash",
    "coreutils",
    "libstdc++6",
    "libc-bin",
    "netbase",
    "tzdata",
)
# git's tools in Perl, the programs behind the signatures that skopeo could check, and what installs packages
_PRUNED = re.compile(
    r"perl.*|libperl.*|liberror-perl|git-man|gnupg.*|gpg.*|dirmngr|pinentry.*|"
    r"adduser|debconf|dpkg|init-system-helpers|openssl|sysvinit-utils|usrmerge"
)
_UNUSED = re.compile(r"usr/share/(man|info|locale)/|usr/share/doc/.*/.*\.gz$|var/cache/")
_FOLDERS = ("dev", "proc", "run", "sys", "tmp", "root")
_ACCOUNTS = {
    "etc/passwd": "root:x:0:0:root:/root:/sbin/nologin\nkfp-edge:x:1001:0:kfp-edge:/home/kfp-edge:/sbin/nologin\n",
    "etc/group": "root:x:0:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}


def assemble_base(buildah: Buildah, work: Path) -> tuple[str, str]:
    """Make an image of the packages, unless the storage has it; return its name and its version of Python.

    Raises:
        ImageError: apt does not know the packages, or cannot fetch one.
    """
    status, memo = work / "status", work / "base.json"
    status.touch()  # of a machine without packages, so that apt lists all that they depend on
    apt = Apt(options=[f"--option=Dir::State::status={status}"])
    # apt takes seconds to list the same again, as long as its lists are the same
    inputs = [apt.describe_lists(), *_SEEDS, _PRUNED.pattern, _UNUSED.pattern, *_ACCOUNTS.values()]
    known = json.loads(memo.read_text()) if memo.is_file() else {}
    if known.get("inputs") == inputs and buildah.find_id(known["name"]):
        return known["name"], known["python"]
    packages = apt.find_packages([name for name in apt.simulate_install(_SEEDS) if not _PRUNED.fullmatch(name)])
    name = f"{REPOSITORY}:{hashlib.sha256(repr((packages, inputs[1:])).encode()).hexdigest()[:16]}"
    if not buildah.find_id(name):
        with tempfile.TemporaryDirectory(dir=work) as scratch:
            downloads, rootfs = Path(scratch) / "packages", Path(scratch) / "rootfs"
            apt.download(packages, downloads)
            fill_rootfs([downloads / package.file for package in packages], rootfs)
            buildah.commit_tree(rootfs, name)
    python = _python_version(packages)
    memo.write_text(json.dumps({"inputs": inputs, "name": name, "python": python}))
    return name, python


def fill_rootfs(packages: list[Path], rootfs: Path) -> None:
    """Fill a new folder with the files of packages, and with what their installation would create."""
    make_merged_usr(rootfs)
    for package in packages:
        unpack_package(package, rootfs, _UNUSED, with_folders=True)
    link_openssl(rootfs, **{"cert.pem": "/etc/ssl/certs/ca-certificates.crt"})
    for folder in _FOLDERS:
        (rootfs / folder).mkdir(exist_ok=True)
    (rootfs / "tmp").chmod(0o1777)
    write_texts(rootfs, _ACCOUNTS)
    shell = rootfs / "bin/sh"
    if not shell.is_symlink():
        shell.symlink_to("dash")
    bundle_certificates(rootfs)


def _python_version(packages: tuple[AptPackage, ...]) -> str:
    return next(match[1] for each in packages if (match := re.fullmatch(r"python(3\.\d+)", each.name)))

"""A root filesystem from Debian or Ubuntu packages, unpacked without running anything.

Only the interpreter, the libraries that it and onnxruntime load, certificates and time zones: no shell,
no package manager. The packages are those that this host's apt would install.
"""

import io
import re
import shutil
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from kfp_edge.errors import ImageError
from kfp_edge.images.apt import Apt, AptPackage
from kfp_edge.images.command import run

_SEEDS = ("python3-minimal", "libpython3-stdlib", "libstdc++6", "ca-certificates", "tzdata", "netbase")

#: Dependencies for installing packages or for modules in `_UNUSED`; what only they need stays out as well.
_PRUNED = re.compile(
    r"dpkg|debconf.*|cdebconf|openssl|media-types|mime-support|mailcap|perl.*|"
    r"libreadline.*|readline-common|libncurses.*|libtinfo.*|libsqlite3.*|libdb5.*|libgdbm.*|libnsl.*|libtirpc.*|"
    r"libcrypt1"
)

#: Paths that no server needs, and the modules whose library is pruned.
_UNUSED = re.compile(
    r"usr/share/(?!ca-certificates|zoneinfo|doc/[^/]+(/copyright)?$)|usr/share/zoneinfo/(right|posix)/|"
    r"etc/(?!services|protocols)|var/|"
    r"usr/s?bin/(?!python3)|usr/lib/(lsb|locale|valgrind|tmpfiles\.d|sysusers\.d|binfmt\.d|debug)|"
    r"usr/lib/[^/]+/(gconv|audit|engines-3|perl)/|usr/lib/[^/]+/"
    r"lib(pcprofile|memusage|mvec|nss_hesiod|nss_compat|nsl|thread_db|c_malloc_debug|BrokenLocale|expatw)\.|"
    r"usr/lib/python3(\.\d+)?/(bdb|config-.*|curses|dbm|distutils|doctest|ensurepip|idlelib|lib2to3|pdb|pydoc|pydoc_data|"
    r"sqlite3|test|tkinter|turtle|turtledemo|unittest|venv|wsgiref|xmlrpc)(/|\.py$)|"
    r"usr/lib/python3\.\d+/lib-dynload/"
    r"(nis|readline|_curses|_dbm|_gdbm|_sqlite3|_tkinter|_crypt|_codecs_|_multibytecodec|_test|_xxtest|xx)"
)

_MERGED = ("bin", "sbin", "lib", "lib64")
_MOUNT_POINTS = ("dev", "models", "proc", "run", "sys", "tmp")
_ACCOUNTS = {
    "etc/passwd": (
        "root:x:0:0:root:/:/sbin/nologin\n"
        "kfp-edge:x:1001:0:kfp-edge:/:/sbin/nologin\n"
        "nobody:x:65534:65534:nobody:/:/sbin/nologin\n"
    ),
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}


def packages(apt: Apt) -> tuple[AptPackage, ...]:
    """Return the packages of the base as apt knows them now, sorted by file name.

    Raises:
        ImageError: apt does not know the packages.
    """
    return apt.candidates(_closure(apt))


def assemble(apt: Apt, rootfs: Path, downloads: Path) -> None:
    """Fill the new folder `rootfs`; the packages are fetched into the new folder `downloads`.

    Raises:
        ImageError: a package cannot be fetched or unpacked.
    """
    chosen = packages(apt)
    apt.download(chosen, downloads)
    for name in _MERGED:
        (rootfs / "usr" / name).mkdir(parents=True)
        (rootfs / name).symlink_to(f"usr/{name}")
    for package in chosen:
        _unpack(downloads / package.file, rootfs)
    for name in _MOUNT_POINTS:
        (rootfs / name).mkdir()
    for path, text in _ACCOUNTS.items():
        (rootfs / path).write_text(text)
    _certificates(rootfs)


def _closure(apt: Apt) -> Sequence[str]:
    graph: dict[str, list[str]] = {}
    package, skip = "", False
    for line in apt.depends(_SEEDS).splitlines():
        if not line.startswith(" "):
            package = line
            graph[package] = []
        elif match := re.fullmatch(r" ([ |])(?:Pre)?Depends: (\S+)", line):
            # of "a | b" the first alternative is taken
            if not skip and not match[2].startswith("<"):
                graph[package].append(match[2])
            skip = match[1] == "|"
    wanted: set[str] = set()
    pending = list(_SEEDS)
    while pending:
        name = pending.pop()
        if name not in wanted and not _PRUNED.fullmatch(name):
            wanted.add(name)
            pending.extend(graph.get(name, []))
    return sorted(wanted)


def _unpack(package: Path, rootfs: Path) -> None:
    done = subprocess.run(["dpkg-deb", "--fsys-tarfile", package], capture_output=True, check=False)
    if done.returncode != 0:
        raise ImageError(f"{package.name} cannot be unpacked: {done.stderr.decode().strip()}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        for member in archive:
            path = _merged(member.name)
            if not member.isdir() and not _UNUSED.match(path):
                _write(archive, member, rootfs, rootfs / path)
    control = run(["dpkg-deb", "--field", package])
    # Where scanners look for the packages of an image that has no package manager.
    status = rootfs / "var/lib/dpkg/status.d" / package.name.split("_")[0]
    status.parent.mkdir(parents=True, exist_ok=True)
    status.write_text(control)


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, rootfs: Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if member.issym():
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


def _certificates(rootfs: Path) -> None:
    source = rootfs / "usr/share/ca-certificates"
    bundle = rootfs / "etc/ssl/certs/ca-certificates.crt"
    bundle.parent.mkdir(parents=True)
    bundle.write_bytes(b"".join(path.read_bytes() for path in sorted(source.rglob("*.crt"))))
    shutil.rmtree(source)
    # where OpenSSL looks when nobody tells it
    openssl = rootfs / "usr/lib/ssl"
    openssl.mkdir(parents=True, exist_ok=True)
    for name, target in {"cert.pem": "/etc/ssl/certs/ca-certificates.crt", "certs": "/etc/ssl/certs"}.items():
        link = openssl / name
        if link.is_symlink():
            link.unlink()
        link.symlink_to(target)

"""The serving image's base from Debian or Ubuntu packages, unpacked without running anything.

Only the interpreter, the libraries that it and onnxruntime load, certificates and time zones: no shell,
no package manager. The packages are those that this host's apt would install.
"""

import re
import shutil
from pathlib import Path

from kfp_edge.images.tools.apt import Apt, AptPackage
from kfp_edge.images.tools.debian import bundle_certificates, link_openssl, unpack_with_status, write_texts

_SEEDS = ("python3-minimal", "libpython3-stdlib", "libstdc++6", "ca-certificates", "tzdata", "netbase", "libc-bin")

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
    r"usr/s?bin/(?!python3)|usr/lib/(lsb|locale/(?!C\.utf8)|valgrind|tmpfiles\.d|sysusers\.d|binfmt\.d|debug)|"
    r"usr/lib/[^/]+/(gconv|audit|engines-3|perl)/|usr/lib/[^/]+/"
    r"lib(pcprofile|memusage|mvec|nss_hesiod|nss_compat|nsl|thread_db|c_malloc_debug|BrokenLocale|expatw)\.|"
    r"usr/lib/python3(\.\d+)?/(bdb|config-.*|curses|dbm|distutils|doctest|ensurepip|idlelib|lib2to3|pdb|pydoc|pydoc_data|"
    r"sqlite3|test|tkinter|turtle|turtledemo|unittest|venv|wsgiref|xmlrpc)(/|\.py$)|"
    r"usr/lib/python3\.\d+/lib-dynload/"
    r"(nis|readline|_curses|_dbm|_gdbm|_sqlite3|_tkinter|_crypt|_codecs_|_multibytecodec|_test|_xxtest|xx)"
)

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
#: Locales that text models ask for, as other names of the one that is part of glibc: it changes the case of all letters
#: alike, in a sixth of the bytes.
_LOCALES = ("en_US", "en_US.utf8")
_OPENSSL_LINKS = {"cert.pem": "/etc/ssl/certs/ca-certificates.crt", "certs": "/etc/ssl/certs"}


def find_packages(apt: Apt) -> tuple[AptPackage, ...]:
    """Return the packages of the base as apt knows them now, sorted by file name.

    Raises:
        ImageError: apt does not know the packages.
    """
    return apt.find_packages(apt.resolve_dependencies(_SEEDS, _PRUNED))


def assemble_rootfs(apt: Apt, rootfs: Path, downloads: Path) -> None:
    """Fill the new folder `rootfs`; the packages are fetched into the new folder `downloads`.

    Raises:
        ImageError: a package cannot be fetched or unpacked.
    """
    packages = find_packages(apt)
    apt.download(packages, downloads)
    unpack_with_status([downloads / package.file for package in packages], rootfs, _UNUSED)
    for name in _MOUNT_POINTS:
        (rootfs / name).mkdir()
    write_texts(rootfs, _ACCOUNTS)
    bundle_certificates(rootfs)
    shutil.rmtree(rootfs / "usr/share/ca-certificates")
    link_openssl(rootfs, **_OPENSSL_LINKS)
    for name in _LOCALES:
        (rootfs / "usr/lib/locale" / name).symlink_to("C.utf8")

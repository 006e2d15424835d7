"""Debian and Ubuntu packages as apt would install them, for this host's architecture or another one.

For another architecture apt gets settings and lists of its own, so that this host's stay as they are.
"""

import hashlib
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kfp_edge.errors import ImageError
from kfp_edge.images.command import run
from kfp_edge.images.platforms import Platform, native

_HOST_LISTS = Path("/var/lib/apt/lists")

_SOURCE_FIELDS = "$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)"
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


@dataclass(frozen=True)
class AptPackage:
    """One package as apt would fetch it."""

    file: str
    sha256: str

    @property
    def name(self) -> str:
        """The package's name, without version and architecture."""
        return self.file.partition("_")[0]


class Apt:
    """apt for one architecture; `host()` and `foreign()` make it."""

    def __init__(self, lists: Path, options: Sequence[str] = ()) -> None:
        self._lists = lists
        self._options = options

    def depends(self, packages: Sequence[str]) -> str:
        """Return what apt-cache says that the packages depend on, directly or not."""
        return self("apt-cache", "depends", "--recurse", "--important", *packages)

    def candidates(self, names: Sequence[str]) -> tuple[AptPackage, ...]:
        """Return the packages of those names, sorted by file name.

        Raises:
            ImageError: apt does not know them.
        """
        listed = self("apt-get", "download", "--print-uris", *names)
        found = re.findall(r"^'[^']+' (\S+) \d+ SHA256:([0-9a-f]{64})$", listed, re.MULTILINE)
        if not found:
            raise ImageError("apt offers no package to assemble a base image from; run `apt-get update`.")
        return tuple(sorted((AptPackage(*pair) for pair in found), key=lambda package: package.file))

    def download(self, packages: Sequence[AptPackage], folder: Path) -> None:
        """Fetch packages into a folder.

        Raises:
            ImageError: apt cannot fetch one, or it is not what apt's lists promise.
        """
        folder.mkdir()
        # apt changes to a user of its own when root runs it, who may not write here
        self(
            "apt-get", "download", "-o", "APT::Sandbox::User=root", *[package.name for package in packages], cwd=folder
        )
        for package in packages:
            path = folder / package.file
            if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != package.sha256:
                raise ImageError(f"apt did not fetch {package.file} as its lists promise it; run `apt-get update`.")

    def state(self) -> str:
        """Return a text that stays the same as long as the package lists do."""
        releases = sorted(self._lists.glob("*Release"))
        return repr([(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in releases])

    def __call__(self, program: str, *args: str, cwd: Path | None = None) -> str:
        return run([program, *self._options, *args], cwd=cwd, title=f"{program} {args[0]}")


def apt_for(platform: Platform, folder: Path) -> Apt:
    """Return apt for a platform; for another one than this host's, its settings and lists are kept in `folder`.

    Such lists are fetched when there are none, and again after this host's own were.

    Raises:
        ImageError: this host has no apt, or apt cannot fetch the lists.
    """
    if shutil.which("apt-get") is None:
        raise ImageError("this host has no apt to assemble a base image from; name an image with Python as the base.")
    host = Apt(_HOST_LISTS)
    if platform == native():
        return host
    foreign = Apt(folder / "lists", _options(platform, folder))
    as_of = folder / "as-of"
    if not as_of.is_file() or as_of.read_text() != host.state():
        for needed in ("lists/partial", "cache/archives/partial"):
            (folder / needed).mkdir(parents=True, exist_ok=True)
        (folder / "status").touch()
        indexes = host("apt-get", "indextargets", "--format", _SOURCE_FIELDS, "Created-By: Packages")
        (folder / "sources.list").write_text(sources(indexes))
        foreign("apt-get", "update", "--error-on=any")
        as_of.write_text(host.state())
    return foreign


def sources(indexes: str) -> str:
    """Return a sources.list(5) of the places where this host's Debian comes from; they have every architecture.

    Args:
        indexes: A line for each index that the host's apt knows: origin, address, release and component.

    Raises:
        ImageError: none of them is Debian's own.
    """
    found = sorted({tuple(line.split()) for line in indexes.splitlines() if line.startswith("Debian ")})
    lines = [
        f"deb [signed-by={_KEYRING}] {address} {release} main\n"
        for _, address, release, component in found
        if component == "main"
    ]
    if not lines:
        raise ImageError(
            "only Debian's apt has packages for another processor here; build on such a processor, or name a base."
        )
    return "".join(lines)


def _options(platform: Platform, folder: Path) -> list[str]:
    settings = {
        "APT::Architecture": platform.architecture,
        "APT::Architectures": platform.architecture,
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Dir::Cache": folder / "cache",
        "Dir::Etc::SourceList": folder / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::lists": folder / "lists",
        "Dir::State::status": folder / "status",
    }
    return [f"--option={name}={value}" for name, value in settings.items()]

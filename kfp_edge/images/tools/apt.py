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
from kfp_edge.images.platforms import Platform, native_platform
from kfp_edge.images.tools.command import run_tool

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
    """Runs apt with this host's package lists and settings, or with others."""

    def __init__(self, lists: Path = _HOST_LISTS, options: Sequence[str] = ()) -> None:
        self._lists = lists
        self._options = options

    def resolve_dependencies(self, seeds: Sequence[str], pruned: re.Pattern[str]) -> tuple[str, ...]:
        """Return the names of packages and of what they depend on, sorted; of alternatives, the first.

        Args:
            seeds: The packages to begin with.
            pruned: Matches packages that stay out, and with them what only they need.
        """
        graph = _parse_depends(self("apt-cache", "depends", "--recurse", "--important", *seeds))
        wanted: set[str] = set()
        pending = list(seeds)
        while pending:
            name = pending.pop()
            if name not in wanted and not pruned.fullmatch(name):
                wanted.add(name)
                pending.extend(graph.get(name, []))
        return tuple(sorted(wanted))

    def simulate_install(self, seeds: Sequence[str]) -> tuple[str, ...]:
        """Return the names of the packages that apt would install, recommended ones left out."""
        log = self("apt-get", "install", "--simulate", "--no-install-recommends", *seeds)
        return tuple(re.findall(r"^Inst (\S+)", log, re.MULTILINE))

    def find_packages(self, names: Sequence[str]) -> tuple[AptPackage, ...]:
        """Return the packages of those names, sorted by file name.

        Raises:
            ImageError: apt does not know them.
        """
        listed = self("apt-get", "download", "--print-uris", *names)
        pairs = re.findall(r"^'[^']+' (\S+) \d+ SHA256:([0-9a-f]{64})$", listed, re.MULTILINE)
        if not pairs:
            raise ImageError("apt offers no package to assemble a base image from; run `apt-get update`.")
        return tuple(sorted((AptPackage(*pair) for pair in pairs), key=lambda package: package.file))

    def download(self, packages: Sequence[AptPackage], folder: Path) -> None:
        """Fetch packages into a folder.

        Raises:
            ImageError: apt cannot fetch one, or it has another hash than in apt's lists.
        """
        folder.mkdir()
        # apt changes to a user of its own when root runs it, who may not write here
        self(
            "apt-get", "download", "-o", "APT::Sandbox::User=root", *[package.name for package in packages], cwd=folder
        )
        for package in packages:
            path = folder / package.file
            if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != package.sha256:
                raise ImageError(f"apt did not fetch {package.file} with the hash in its lists; run `apt-get update`.")

    def describe_lists(self) -> str:
        """Return a text that stays the same as long as the package lists do."""
        releases = sorted(self._lists.glob("*Release"))
        return repr([(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in releases])

    def __call__(self, program: str, *args: str, cwd: Path | None = None) -> str:
        return run_tool(f"{program} {args[0]}", [program, *self._options, *args], cwd=cwd)


def apt_for(platform: Platform, folder: Path) -> Apt:
    """Return apt for a platform; for another one than this host's, its settings and lists are kept in `folder`.

    Such lists are fetched when there are none, and again after this host's own were.

    Raises:
        ImageError: this host has no apt, or apt cannot fetch the lists.
    """
    if shutil.which("apt-get") is None:
        raise ImageError("this host has no apt to assemble a base image from; name an image with Python as the base.")
    host = Apt()
    if platform == native_platform():
        return host
    foreign = Apt(folder / "lists", _foreign_options(platform, folder))
    as_of = folder / "as-of"
    if not as_of.is_file() or as_of.read_text() != host.describe_lists():
        for needed in ("lists/partial", "cache/archives/partial"):
            (folder / needed).mkdir(parents=True, exist_ok=True)
        (folder / "status").touch()
        indexes = host("apt-get", "indextargets", "--format", _SOURCE_FIELDS, "Created-By: Packages")
        (folder / "sources.list").write_text(format_sources(indexes))
        foreign("apt-get", "update", "--error-on=any")
        as_of.write_text(host.describe_lists())
    return foreign


def format_sources(indexes: str) -> str:
    """Return a sources.list(5) of the mirrors that this host's Debian comes from; they have every architecture.

    Args:
        indexes: One line for each index that the host's apt knows: origin, address, release and component.

    Raises:
        ImageError: none of them is Debian's own.
    """
    indexed = sorted({tuple(line.split()) for line in indexes.splitlines() if line.startswith("Debian ")})
    lines = [
        f"deb [signed-by={_KEYRING}] {address} {release} main\n"
        for _, address, release, component in indexed
        if component == "main"
    ]
    if not lines:
        raise ImageError(
            "only Debian's apt has packages for another processor here; build on such a processor, or name a base."
        )
    return "".join(lines)


def _parse_depends(listing: str) -> dict[str, list[str]]:
    """Return the dependencies of each package that `apt-cache depends` lists."""
    graph: dict[str, list[str]] = {}
    package, skip = "", False
    for line in listing.splitlines():
        if not line.startswith(" "):
            package = line
            graph[package] = []
        elif match := re.fullmatch(r" ([ |])(?:Pre)?Depends: (\S+)", line):
            # of "a | b" the first alternative is taken; <a> is a virtual package
            if not skip and not match[2].startswith("<"):
                graph[package].append(match[2])
            skip = match[1] == "|"
    return graph


def _foreign_options(platform: Platform, folder: Path) -> list[str]:
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

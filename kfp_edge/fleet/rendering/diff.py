"""What a change of the repository does to the sites: their objects before and after, rendered by kustomize."""

import tempfile
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path

from kfp_edge.errors import GitError
from kfp_edge.fleet.rendering.render import build
from kfp_edge.gitops.layout import KUSTOMIZATION, MODELS, RINGS, SITES, site_kustomization
from kfp_edge.gitops.tree import Tree

#: kustomize is a process of its own, so that threads suffice.
_PROCESSES = 4


@dataclass(frozen=True)
class SiteDiff:
    """The same change at one or more sites, in the format of diff; of a site without a change it is empty."""

    sites: tuple[str, ...]
    diff: str


@dataclass(frozen=True)
class FleetDiff:
    """What a change does.

    Attributes:
        changed: The paths of the files that differ.
        sites: The changes of the sites that were rendered, those of most sites first.
        not_rendered: Further sites that read a changed file.
        removed: The sites that are not in the fleet any more.
    """

    changed: tuple[str, ...]
    sites: tuple[SiteDiff, ...]
    not_rendered: tuple[str, ...]
    removed: tuple[str, ...]


def compare_trees(before: Tree, after: Tree, limit: int) -> FleetDiff:
    """Return what changes at the sites from one state of the repository to another.

    Args:
        before: The files that the sites follow.
        after: The files with the change.
        limit: How many sites are rendered at most.

    Raises:
        GitError: a file cannot be read.
        CommandError: there is no kustomize and no kubectl.
    """
    old, new = (tree.read_all(tree.list_files()) for tree in (before, after))
    changed = tuple(sorted(path for path in {*old, *new} if old.get(path) != new.get(path)))
    affected = _find_affected(changed, old) | _find_affected(changed, new)
    rendered, rest = sorted(affected)[:limit], sorted(affected)[limit:]
    sites: dict[str, list[str]] = defaultdict(list)
    with _folder_of(old) as old_folder, _folder_of(new) as new_folder, ThreadPoolExecutor(_PROCESSES) as pool:
        texts = pool.map(lambda name: _diff(name, old_folder, new_folder), rendered)
        for name, text in zip(rendered, texts, strict=True):
            sites[text].append(name)
    diffs = [SiteDiff(tuple(names), text) for text, names in sites.items()]
    removed = tuple(name for name in sorted(affected) if site_kustomization(name) not in new)
    in_order = tuple(sorted(diffs, key=lambda each: (-len(each.sites), each.sites)))
    return FleetDiff(changed, in_order, tuple(rest), removed)


def _find_affected(changed: tuple[str, ...], files: dict[str, bytes]) -> set[str]:
    """Return the sites whose kustomization reads a changed file, or may do so."""
    folders = {"/".join(path.split("/")[:2]) for path in changed if path.startswith(f"{MODELS}/")}
    folders |= {"/".join(path.split("/")[:3]) for path in changed if path.startswith(f"{RINGS}/")}
    rings = {
        path.rpartition("/")[0].encode()
        for path, data in files.items()
        if path.startswith(f"{RINGS}/") and any(_reads(data, folder) for folder in folders)
    }
    rings |= {folder.encode() for folder in folders if folder.startswith(f"{RINGS}/")}
    shared = {"/".join(path.split("/")[:2]) for path in changed if path.startswith(f"{SITES}/") and path.count("/") > 1}
    affected = set()
    for path, data in files.items():
        parts = path.split("/")
        if parts[0] == SITES and len(parts) == 3 and parts[2] == KUSTOMIZATION:
            own = f"{SITES}/{parts[1]}"
            includes = any(f"../{folder.partition('/')[2]}".encode() in data for folder in shared - {own})
            if own in shared or includes or any(ring in data for ring in rings):
                affected.add(parts[1])
    return affected


def _reads(data: bytes, folder: str) -> bool:
    return folder.encode() in data


@contextmanager
def _folder_of(files: dict[str, bytes]) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="kfp-edge-diff-") as name:
        folder = Path(name)
        for path, data in files.items():
            if path.startswith((f"{MODELS}/", f"{RINGS}/", f"{SITES}/")):
                target = folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
        yield folder


def _diff(site: str, before: Path, after: Path) -> str:
    old, new = (_render(folder / SITES / site).splitlines(keepends=True) for folder in (before, after))
    return "".join(unified_diff(old, new, "before", "after", n=2))


def _render(folder: Path) -> str:
    if not (folder / KUSTOMIZATION).exists():
        return ""
    try:
        return build(folder)
    except GitError as error:
        return f"# {error}\n"

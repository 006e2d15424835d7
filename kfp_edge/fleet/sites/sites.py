"""The sites of a fleet, read from its repository."""

from collections.abc import Collection
from dataclasses import dataclass

from kfp_edge.fleet.contracts import Site
from kfp_edge.fleet.documents import DocumentError, parse_document
from kfp_edge.gitops.layout import SITE, SITES
from kfp_edge.gitops.tree import Tree


@dataclass(frozen=True)
class SitesFound:
    """The sites whose files can be read, and a sentence for each whose file cannot."""

    sites: tuple[Site, ...]
    broken: tuple[str, ...] = ()


def read_sites(tree: Tree, without: Collection[str] = ()) -> list[Site]:
    """Return all sites, or all but those of some folders, sorted by their folders.

    Raises:
        DocumentError: the file of one is not valid.
    """
    files = [(path, data) for path, data in _read_files(tree) if path.split("/")[1] not in without]
    return [parse_document(Site, data, path) for path, data in files]


def find_sites(tree: Tree, ring: str = "") -> SitesFound:
    """Return the sites that can be read, of one ring or of all: a file that a person broke must not stop the others.

    Args:
        tree: The files of the repository.
        ring: Only the sites of this ring, and only files that name it.
    """
    sites, broken = [], []
    for path, data in _read_files(tree):
        if ring.encode() not in data:
            continue
        try:
            site = parse_document(Site, data, path)
        except DocumentError as error:
            broken.append(f"{error} Nothing is known of that site.")
        else:
            if ring in ("", site.ring):
                sites.append(site)
    return SitesFound(tuple(sites), tuple(broken))


def _read_files(tree: Tree) -> list[tuple[str, bytes]]:
    files = [path for path in tree.list_files(SITES) if path.count("/") == 2 and path.endswith(f"/{SITE}")]
    return sorted(tree.read_all(files).items())

"""The sites of a fleet, read from its repository."""

from kfp_edge.fleet.contracts import Site
from kfp_edge.fleet.documents import parse_document
from kfp_edge.gitops.layout import SITE, SITES
from kfp_edge.gitops.tree import Tree


def read_sites(tree: Tree) -> list[Site]:
    """Return all sites, sorted by their folders.

    Raises:
        DocumentError: the file of one is not valid.
    """
    files = [path for path in tree.list_files(SITES) if path.count("/") == 2 and path.endswith(f"/{SITE}")]
    return [parse_document(Site, data, path) for path, data in sorted(tree.read_all(files).items())]


def sites_of_ring(tree: Tree, ring: str) -> list[Site]:
    """Return the sites of a ring.

    Raises:
        DocumentError: the file of a site is not valid.
    """
    return [site for site in read_sites(tree) if site.ring == ring]

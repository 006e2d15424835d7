"""The files of a repository that are made of its sites."""

from collections.abc import Collection
from pathlib import Path

from kfp_edge.fleet.documents import read_fleet
from kfp_edge.fleet.repository.project_files import render_made_files
from kfp_edge.fleet.sites.sites import read_sites
from kfp_edge.gitops.tree import Checkout, Tree
from kfp_edge.storage.files import write_files


def write_made_files(folder: Path) -> list[str]:
    """Write the files that differ from what the sites make of them, all or none, and return their paths.

    Raises:
        DocumentError: `fleet.yaml` or the file of a site is not valid.
        StorageError: the folder cannot be written.
    """
    changed = changed_made_files(Checkout(folder))
    write_files(folder, changed)
    return list(changed)


def changed_made_files(tree: Tree, without: Collection[str] = ()) -> dict[str, bytes]:
    """Return the files that differ from what the sites make of them, by their paths.

    Args:
        tree: The files of the repository.
        without: Sites that do not count.

    Raises:
        DocumentError: `fleet.yaml` or the file of a site is not valid.
    """
    made = render_made_files(read_fleet(tree), read_sites(tree, without), tree.list_files("argocd"))
    present = tree.read_all(made)
    return {path: data for path, data in made.items() if present.get(path) != data}

"""Writes the files of a checkout that are made of its sites."""

from pathlib import Path

from kfp_edge.fleet.documents import read_fleet
from kfp_edge.fleet.repository.project_files import render_made_files
from kfp_edge.fleet.sites.sites import read_sites
from kfp_edge.gitops.tree import Checkout
from kfp_edge.storage.files import write_file


def write_made_files(folder: Path) -> list[str]:
    """Write the files that differ from what the sites make of them, and return their paths.

    Raises:
        DocumentError: `fleet.yaml` or the file of a site is not valid.
        StorageError: the folder cannot be written.
    """
    tree = Checkout(folder)
    made = render_made_files(read_fleet(tree), read_sites(tree), tree.list_files("argocd"))
    present = tree.read_all(made)
    changed = [path for path, data in made.items() if present.get(path) != data]
    for path in changed:
        write_file(folder / path, made[path])
    return changed

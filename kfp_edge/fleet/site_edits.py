"""Edits of the files of a site that keep what people wrote there."""

import json

from kfp_edge.errors import GitError
from kfp_edge.fleet.contracts import Site
from kfp_edge.fleet.documents import DocumentError
from kfp_edge.gitops.layout import ring_resource, site_file, site_kustomization
from kfp_edge.gitops.tree import Tree
from kfp_edge.gitops.yaml_text import append_item


def assign_model(tree: Tree, site: Site, model: str) -> dict[str, bytes]:
    """Return the files that change when a site gets another model of its ring.

    Raises:
        GitError: a file is missing or is not valid YAML.
    """
    described, runs = site_file(site.name), site_kustomization(site.name)
    name = json.dumps(model)
    resource = ring_resource(site.ring, model)
    return {
        described: append_item(_read_text(tree, described), ("models",), name, file=described).encode(),
        runs: append_item(_read_text(tree, runs), ("resources",), resource, file=runs).encode(),
    }


def _read_text(tree: Tree, path: str) -> str:
    data = tree.read(path)
    if data is None:
        raise DocumentError(path, 0, "is missing.")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise GitError(f"{path} is not UTF-8 text.") from error

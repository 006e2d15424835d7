"""Sites whose own files keep a release of their ring from reaching them."""

import re
from collections.abc import Iterable

from kfp_edge.fleet.contracts import Site
from kfp_edge.fleet.sites.files import IMAGE_VOLUME
from kfp_edge.gitops.images import Image, read_images
from kfp_edge.gitops.layout import site_kustomization
from kfp_edge.gitops.tree import Tree


def find_pinned_sites(tree: Tree, sites: Iterable[Site], image: Image) -> list[str]:
    """Return a sentence for each site that sets the digest of an image itself: no change of its ring reaches it.

    Args:
        tree: The files of the repository.
        sites: Sites of the ring that run the model.
        image: What the ring is going to have, with its name for registries.
    """
    paths = {site_kustomization(site.name): site for site in sites}
    sentences = []
    for path, data in sorted(tree.read_all(paths).items()):
        for each in read_images(data.decode(errors="replace"), file=path):
            if each.digest and _names(each.name, image.new_name):
                sentences.append(
                    f"{paths[path].name} sets the digest of {each.name} in {path}, so that this change does not reach "
                    "it; remove the digest there."
                )
    return sentences


def _names(pattern: str, name: str) -> bool:
    """Whether kustomize takes the `name` of an entry for an image: it reads it as a regular expression."""
    wanted = pattern.removeprefix(IMAGE_VOLUME)
    try:
        return re.fullmatch(wanted, name) is not None
    except re.error:
        return wanted == name

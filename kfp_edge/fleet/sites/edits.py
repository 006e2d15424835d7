"""Edits of the files of a site that keep what people wrote there."""

import json
from collections.abc import Mapping

from kfp_edge.errors import GitError
from kfp_edge.fleet.contracts import Delivery, Site
from kfp_edge.fleet.documents import DocumentError
from kfp_edge.fleet.sites.files import IMAGE_VOLUME, KUSTOMIZE_CONFIG, KUSTOMIZE_CONFIG_TEXT, mirror_name, render_site
from kfp_edge.gitops.layout import KUSTOMIZATION, ring_resource, site_file, site_kustomization
from kfp_edge.gitops.tree import Tree
from kfp_edge.gitops.yaml_text import append_item, get, parse_node


def assign_model(tree: Tree, site: Site, model: str, image_names: Mapping[str, str]) -> dict[str, bytes]:
    """Return the files that change when a site gets another model of its ring.

    Files that are as kfp-edge writes them are written again; of others, every byte that is there stays.

    Args:
        tree: The files that are there.
        site: What the site is.
        model: The name of the model.
        image_names: `newName` in the ring of this model and of those that the site has, which its registry mirrors.

    Raises:
        GitError: a file is missing, is not valid YAML, or cannot be added to.
    """
    written = render_site(site, {each: image_names[each] for each in site.models})
    if tree.read_all(written) == written:
        return render_site(site.model_copy(update={"models": (*site.models, model)}), image_names)
    if site.delivery == Delivery.PODMAN:
        raise GitError(
            f"{site_kustomization(site.name)} was changed by hand; add {model} to {site_file(site.name)}, and "
            "its resource and its patch with a hostPort here."
        )
    described, runs = site_file(site.name), site_kustomization(site.name)
    resource = ring_resource(site.ring, model)
    text = append_item(_read_text(tree, runs), ("resources",), resource, file=runs)
    name = json.dumps(model)
    files = {described: append_item(_read_text(tree, described), ("models",), name, file=described).encode()}
    image_name = image_names[model]
    if site.registry:
        mirrored = json.dumps(mirror_name(image_name, site.registry))
        if get(parse_node(text, runs), "images") is None:
            text = f"{text.rstrip()}\nimages: []\n"
        text = append_item(text, ("images",), f"{{name: {json.dumps(image_name)}, newName: {mirrored}}}", file=runs)
        if image_name.startswith(IMAGE_VOLUME):
            text, added = _configure_images(tree, text, runs)
            files |= added
    return files | {runs: text.encode()}


def _configure_images(tree: Tree, text: str, path: str) -> tuple[str, dict[str, bytes]]:
    """Return a kustomization that knows the images of an InferenceService, and the file that says where they are."""
    config = path.replace(KUSTOMIZATION, KUSTOMIZE_CONFIG)
    if tree.read(config) is not None:
        return text, {}
    if get(parse_node(text, path), "configurations") is None:
        text = f"{text.rstrip()}\nconfigurations: []\n"
    text = append_item(text, ("configurations",), KUSTOMIZE_CONFIG, file=path)
    return text, {config: KUSTOMIZE_CONFIG_TEXT.encode()}


def _read_text(tree: Tree, path: str) -> str:
    data = tree.read(path)
    if data is None:
        raise DocumentError(path, 0, "is missing.")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise GitError(f"{path} is not UTF-8 text.") from error

"""The collector in a fleet's repository: a kustomize component for each ring, and one line for each site.

A component of its own for each ring, so that a new version or another queue reaches one ring after another, as models
do.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kfp_edge.errors import GitError, ParameterError
from kfp_edge.fleet.contracts import Delivery, Site
from kfp_edge.fleet.documents import read_fleet
from kfp_edge.fleet.releases.ring_images import select_ring
from kfp_edge.fleet.repository.made_files import changed_made_files
from kfp_edge.fleet.sites.files import SITE_LABEL, mirror_name
from kfp_edge.fleet.sites.model_assignment import select_sites
from kfp_edge.fleet.sites.sites import read_sites
from kfp_edge.gitops.layout import KUSTOMIZATION, SITES, site_kustomization
from kfp_edge.gitops.tree import Checkout, Edited, Tree
from kfp_edge.gitops.yaml_text import append_item, get, items, parse_node, scalar
from kfp_edge.observability.site.forms import Form, SiteSettings, render_form
from kfp_edge.storage.files import write_files

_PROJECT = "argocd/project/appproject.yaml"
_KINDS = ("ConfigMap", "PersistentVolumeClaim")
_COMPONENT = """\
# The collector of the sites in the ring {ring}, which name this folder in `components`. `kfp-edge observe
# add-collector` writes it again, with another image, hub or queue.
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
resources:
  - base
"""


def component_folder(ring: str) -> str:
    """Return the folder of a ring's collector; sites name it as `../collector-RING`."""
    return f"{SITES}/collector-{ring}"


def add_to_sites(folder: Path, settings: SiteSettings, *, ring: str = "", names: Sequence[str] = ()) -> list[str]:
    """Write the collector of the rings of some sites, and the line of each site; return the paths.

    A collector that is there is written again with these settings, for all sites of its ring.

    Args:
        folder: A checkout.
        settings: Hub, image and queue; names of site and ring come from the files of the fleet.
        ring: All sites of this ring.
        names: These sites.

    Raises:
        DocumentError: a file of the fleet is not valid.
        GitError: a file cannot be added to; then none is changed.
        ParameterError: there is no such ring or site, or one has no Kubernetes; then none is changed.
        StorageError: the folder cannot be written; then none is changed.
    """
    tree = Checkout(folder)
    fleet = read_fleet(tree)
    sites = select_sites(read_sites(tree), select_ring(fleet, ring) if ring else "", names)
    for site in sites:
        if site.delivery == Delivery.PODMAN:
            raise ParameterError(
                f"the site {site.name} has no Kubernetes (delivery: podman); write its collector with `kfp-edge "
                f"observe render --form podman --site {site.name} --ring {site.ring} --output DIR`."
            )
    files: dict[str, bytes] = {}
    for each in dict.fromkeys(site.ring for site in sites):
        files |= render_component(each, settings)
    for site in sites:
        files |= _add_line(tree, site, settings)
    files |= _allow_kinds(tree)
    files |= changed_made_files(Edited(tree, files))
    changed = {path: data for path, data in files.items() if tree.read(path) != data}
    write_files(folder, changed)
    return list(changed)


def render_component(ring: str, settings: SiteSettings) -> dict[str, bytes]:
    """Return the files of a ring's collector by their paths in the repository.

    The labels are those of a base beneath the component: a component's own would be set on the models, too.
    """
    of_ring = replace(settings, ring=ring)
    files = {f"base/{path}": data for path, data in render_form(Form.KUBERNETES, of_ring).items()}
    base = files[f"base/{KUSTOMIZATION}"].decode()
    base = base[base.index("apiVersion:") :]
    # the site's own kustomization sets the label of the site
    files[f"base/{KUSTOMIZATION}"] = re.sub(f" *{SITE_LABEL}: .*\n", "", base).encode()
    files[KUSTOMIZATION] = _COMPONENT.format(ring=ring).encode()
    return {f"{component_folder(ring)}/{path}": data for path, data in files.items()}


def _add_line(tree: Tree, site: Site, settings: SiteSettings) -> dict[str, bytes]:
    path = site_kustomization(site.name)
    data = tree.read(path)
    if data is None:
        raise GitError(f"{path} is missing; write the files of the site with `kfp-edge fleet add-site`.")
    text = _decode(data, path)
    line = f"../collector-{site.ring}"
    document = parse_node(text, path)
    named = [scalar(each) or "" for each in items(get(document, "components"))]
    if others := [each for each in named if each.startswith("../collector-") and each != line]:
        raise GitError(f"{path} has {others[0]}, the collector of another ring; write {line} there.")
    if line not in named:
        text = _append(text, "components", line, path)
    name = settings.image.partition("@")[0]
    if site.registry and name not in [scalar(get(each, "name")) for each in items(get(document, "images"))]:
        mirrored = mirror_name(name, site.registry)
        text = _append(text, "images", f"{{name: {json.dumps(name)}, newName: {json.dumps(mirrored)}}}", path)
    return {path: text.encode()}


def _append(text: str, key: str, item: str, path: str) -> str:
    if get(parse_node(text, path), key) is None:
        text = f"{text.rstrip()}\n{key}: []\n"
    return append_item(text, (key,), item, file=path)


def _allow_kinds(tree: Tree) -> dict[str, bytes]:
    """Return the AppProject of a hub with the kinds that a collector has; nothing where there is none."""
    data = tree.read(_PROJECT)
    if data is None:
        return {}
    text = _decode(data, _PROJECT)
    where = ("spec", "namespaceResourceWhitelist")
    allowed = items(get(get(parse_node(text, _PROJECT), "spec"), where[1]))
    present = {scalar(get(each, "kind")) for each in allowed}
    for kind in _KINDS:
        if kind not in present and "*" not in present:
            text = append_item(text, where, f'{{group: "", kind: {kind}}}', file=_PROJECT)
    return {_PROJECT: text.encode()}


def _decode(data: bytes, path: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise GitError(f"{path} is not UTF-8 text.") from error

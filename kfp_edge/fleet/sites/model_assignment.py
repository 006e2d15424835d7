"""Gives sites of a checkout another model of their ring: all of those that are named, or none if one cannot have it."""

from collections.abc import Sequence
from pathlib import Path

from kfp_edge.errors import GitError, ParameterError
from kfp_edge.fleet.contracts import Site
from kfp_edge.fleet.documents import read_fleet
from kfp_edge.fleet.releases.ring_images import read_new_name, ring_models, select_ring
from kfp_edge.fleet.repository.made_files import changed_made_files
from kfp_edge.fleet.sites.edits import assign_model
from kfp_edge.fleet.sites.sites import read_sites
from kfp_edge.gitops.tree import Checkout, Edited
from kfp_edge.storage.files import write_files
from kfp_edge.suggestions import did_you_mean


def assign_to_sites(folder: Path, model: str, *, ring: str = "", names: Sequence[str] = ()) -> list[str]:
    """Write the files of sites that get another model of their ring; return their paths.

    Sites that have it already stay as they are.

    Args:
        folder: A checkout.
        model: The name of a model that the ring of each site has.
        ring: All sites of this ring.
        names: These sites.

    Raises:
        DocumentError: a file of the fleet is not valid.
        GitError: a file of a site cannot be added to; then none is changed.
        ParameterError: there is no such ring, site or model; then none is changed.
        StorageError: the folder cannot be written; then none is changed.
    """
    tree = Checkout(folder)
    fleet = read_fleet(tree)
    sites = select_sites(read_sites(tree), select_ring(fleet, ring) if ring else "", names)
    models = {each: ring_models(tree, each) for each in dict.fromkeys(site.ring for site in sites)}
    files: dict[str, bytes] = {}
    for site in sites:
        known = models[site.ring]
        if model not in known:
            raise ParameterError(
                f"the ring {site.ring} of {site.name} has no model {model}; {did_you_mean(model, known)}"
                f"it has {', '.join(known) or 'none'}. A release or a promotion brings it there."
            )
        if model in site.models:
            continue
        image_names = {each: read_new_name(tree, site.ring, each) for each in (*site.models, model)}
        files |= assign_model(tree, site, model, image_names)
    files |= changed_made_files(Edited(tree, files))
    write_files(folder, files)
    return list(files)


def select_sites(sites: Sequence[Site], ring: str, names: Sequence[str]) -> list[Site]:
    """Return the sites of a ring and those that are named.

    Raises:
        GitError: the ring has no site.
        ParameterError: there is no site of a name.
    """
    known = {site.name: site for site in sites}
    for name in names:
        if name not in known:
            raise ParameterError(f"there is no site {name}; {did_you_mean(name, known)}name a folder of sites/.")
    chosen = [site for site in sites if site.ring == ring or site.name in names]
    if not chosen:
        raise GitError(f"the ring {ring} has no site; add one with `kfp-edge fleet add-site`.")
    return chosen

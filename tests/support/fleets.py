"""Repositories of fleets, written as kfp-edge writes them, and the objects that kustomize makes of them."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from kfp_edge.fleet.check.check import check_repository
from kfp_edge.fleet.contracts import Fleet, Site
from kfp_edge.fleet.releases.ring_images import set_ring_image
from kfp_edge.fleet.rendering.render import build
from kfp_edge.fleet.repository.new_repository import Agent, new_fleet, new_site, render_repository
from kfp_edge.fleet.repository.project_files import render_made_files
from kfp_edge.fleet.sites.files import render_site
from kfp_edge.gitops.tree import Checkout

#: Digests that differ.
DIGESTS = tuple(f"sha256:{digit * 64}" for digit in "abcdef")
URL = "https://git.example/fleet.git"


def write_files(folder: Path, files: Mapping[str, bytes | str]) -> Path:
    """Write files into a folder."""
    for path, data in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data if isinstance(data, bytes) else data.encode())
    return folder


def site_with(name: str, ring: str = "canary", **values: Any) -> Site:
    """Return a site that runs `pump`, with these keys of `site.yaml` in place of the usual ones."""
    usual = new_site(name, ring, models=["pump"]).model_dump(mode="json", by_alias=True)
    return Site.model_validate(usual | values)


def write_fleet(
    folder: Path,
    sites: Iterable[Site] = (),
    *,
    rings: tuple[str, ...] = ("canary", "all"),
    models: tuple[str, ...] = ("pump",),
    fleet: Fleet | None = None,
    agents: Iterable[Agent] = (Agent.HUB,),
) -> Path:
    """Write a fleet whose rings have every model, as `quay.io/team/MODEL` with the first digest."""
    fleet = fleet or new_fleet("plant", URL, rings=rings)
    write_files(folder, render_repository(fleet, agents))
    for ring in fleet.ring_names:
        for model in models:
            files = set_ring_image(Checkout(folder), fleet, ring, model, f"quay.io/team/{model}", DIGESTS[0])
            write_files(folder, files)
    all_sites = list(sites)
    for site in all_sites:
        scheme = "oci://" if fleet.serving == "kserve" else ""
        write_files(folder, render_site(site, {model: f"{scheme}quay.io/team/{model}" for model in site.models}))
    write_files(folder, render_made_files(fleet, all_sites, Checkout(folder).list_files("argocd")))
    return folder


def rendered(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the objects that the real kustomize makes of a folder, by kind."""
    return {each["kind"]: each for each in YAML(typ="safe", pure=True).load_all(build(folder))}


def read_yaml(path: Path) -> list[dict[str, Any]]:
    """Return the documents of a file."""
    return list(YAML(typ="safe", pure=True).load_all(path.read_text()))


def findings(folder: Path) -> list[str]:
    """Return what the check finds in a repository, each with its severity."""
    return [f"{finding.severity}: {finding}" for finding in check_repository(folder)]


def replace(folder: Path, path: str, old: str, new: str) -> None:
    """Replace a text that is in a file."""
    text = (folder / path).read_text()
    assert old in text
    (folder / path).write_text(text.replace(old, new))

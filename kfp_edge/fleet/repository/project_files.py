"""What Argo CD has to know of the sites: namespaces and sync windows of the AppProject, Applications of sites."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import timedelta

from kfp_edge.fleet.contracts import Delivery, Fleet, Site, Window
from kfp_edge.gitops.template_files import Part, render_part

#: The patch of the AppProject that is made of the sites.
PROJECT_SITES = "argocd/project/sites.yaml"
#: The folder with AppProject and Application of each site that has an Argo CD of its own.
SITE_APPLICATIONS = "argocd/site/"


def render_project(fleet: Fleet, sites: Iterable[Site]) -> dict[str, bytes]:
    """Return the patch that gives the AppProject the namespaces and sync windows of the sites of a hub, by its path."""
    of_hub = sorted((site for site in sites if site.delivery == Delivery.HUB), key=lambda site: site.name)
    namespaces = sorted({site.namespace for site in of_hub})
    lines = [
        "# Made by kfp-edge of sites/*/site.yaml, and made again with them: do not edit.",
        "apiVersion: argoproj.io/v1alpha1",
        "kind: AppProject",
        "metadata:",
        f"  name: {_text(fleet.name)}",
        "spec:",
        *_block(2, "destinations", [f"name: '*'\n      namespace: {_text(each)}" for each in namespaces]),
        *_block(
            2,
            "clusterResourceWhitelist",
            [f'group: ""\n      kind: Namespace\n      name: {_text(each)}' for each in namespaces],
        ),
        *_windows(of_hub),
    ]
    return {PROJECT_SITES: ("\n".join(lines) + "\n").encode()}


def render_made_files(fleet: Fleet, sites: Iterable[Site], paths: Collection[str]) -> dict[str, bytes]:
    """Return the files that are made of the sites: of the project where the repository has one, and of Applications.

    Args:
        fleet: The contents of `fleet.yaml`.
        sites: All sites.
        paths: The files of the repository.
    """
    all_sites = list(sites)
    made = render_project(fleet, all_sites) if PROJECT_SITES in paths else {}
    for site in all_sites:
        if site.delivery == Delivery.SITE:
            made |= render_site_application(fleet, site)
    return made


def site_application_path(site: str) -> str:
    """Return the file with AppProject and Application of a site that has an Argo CD of its own."""
    return f"{SITE_APPLICATIONS}{site}.yaml"


def render_site_application(fleet: Fleet, site: Site) -> dict[str, bytes]:
    """Return AppProject and Application of a site that has an Argo CD of its own, by their path."""
    windows = [_window(window, [site.name], "    ") for window in site.windows]
    values = {
        "fleet": fleet.name,
        "repository": fleet.repository,
        "branch": fleet.branch,
        "site": site.name,
        "ring": site.ring,
        "namespace": site.namespace,
    }
    block = "".join(f"\n    - {window}" for window in windows) or "[]"
    return render_part(Part.ARGOCD_SITE, values, {"windows": block})


def _windows(sites: Iterable[Site]) -> list[str]:
    """Return the sync windows; sites with the same one share an entry, as a project of thousands has to stay small."""
    names = defaultdict(list)
    for site in sites:
        for window in site.windows:
            names[window].append(site.name)
    return _block(2, "syncWindows", [_window(window, sites, "    ") for window, sites in names.items()])


def _window(window: Window, sites: list[str], indent: str) -> str:
    lines = [
        "kind: allow",
        f"schedule: {_text(window.schedule)}",
        f"duration: {_go_duration(window.duration)}",
        f"timeZone: {_text(window.time_zone)}",
        "# an operator may sync by hand at any time",
        "manualSync: true",
        "applications:",
        *(f"  - {_text(site)}" for site in sites),
    ]
    return f"\n{indent}  ".join(lines)


def _go_duration(duration: timedelta) -> str:
    """Return a duration as Go reads it: it has no days."""
    minutes, seconds = divmod(int(duration.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "m"), (seconds, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number)


def _block(indent: int, key: str, items: list[str]) -> list[str]:
    space = " " * indent
    return [f"{space}{key}:", *(f"{space}  - {item}" for item in items)] if items else [f"{space}{key}: []"]


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)

"""The paths of a fleet's repository.

fleet.yaml                               the rings in their order, with what a release has to show in each
models/MODEL/base/                       how a model is served, the same at every site
rings/RING/MODEL/kustomization.yaml      the digest that the sites of a ring run
sites/SITE/site.yaml                     what a site is: its ring, models, namespace, windows
sites/SITE/kustomization.yaml            what the site runs, made of its ring's models, and its own changes
"""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

README = "README.md"
FLEET = "fleet.yaml"
SITES = "sites"
RINGS = "rings"
MODELS = "models"
SITE = "site.yaml"
KUSTOMIZATION = "kustomization.yaml"

#: Of each site and model, before there were rings.
_EARLIER_LAYOUT = re.compile(rf"{SITES}/[^/]+/[^/]+/{re.escape(KUSTOMIZATION)}")
_RING_KUSTOMIZATION = re.compile(rf"{RINGS}/([^/]+)/([^/]+)/{re.escape(KUSTOMIZATION)}")


def model_base(model: str) -> str:
    """Return the kustomization that says how a model is served."""
    return f"{MODELS}/{model}/base/{KUSTOMIZATION}"


def ring_kustomization(ring: str, model: str) -> str:
    """Return the file with the digest of a model in a ring: the only one that a release changes."""
    return f"{RINGS}/{ring}/{model}/{KUSTOMIZATION}"


def parse_ring_kustomization(path: str) -> tuple[str, str] | None:
    """Return ring and model of such a path, None for any other one."""
    match = _RING_KUSTOMIZATION.fullmatch(path)
    return (match[1], match[2]) if match else None


def site_file(site: str) -> str:
    """Return the file that describes a site."""
    return f"{SITES}/{site}/{SITE}"


def site_kustomization(site: str) -> str:
    """Return the kustomization of a site."""
    return f"{SITES}/{site}/{KUSTOMIZATION}"


def ring_resource(ring: str, model: str) -> str:
    """Return how the kustomization of a site names a model of its ring in `resources`."""
    return f"../../{RINGS}/{ring}/{model}"


def parse_ring_resource(resource: str) -> tuple[str, str] | None:
    """Return ring and model of such an entry of `resources`, None for any other one."""
    parts = PurePosixPath(resource.rstrip("/")).parts
    return (parts[3], parts[4]) if parts[:3] == ("..", "..", RINGS) and len(parts) == 5 else None


def find_earlier_layout(paths: Iterable[str]) -> str:
    """Return a folder of the layout that kfp-edge wrote before there were rings, empty if there is none."""
    return next((path.removesuffix(KUSTOMIZATION) for path in paths if _EARLIER_LAYOUT.fullmatch(path)), "")

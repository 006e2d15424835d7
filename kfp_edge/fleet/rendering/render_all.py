"""What all sites get. kustomize runs once for those that differ in names only, as most of a large fleet do."""

import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kfp_edge.fleet.check.rings import read_ring_images
from kfp_edge.fleet.contracts import Site
from kfp_edge.fleet.rendering.render import build
from kfp_edge.fleet.sites.files import render_site
from kfp_edge.fleet.sites.sites import read_sites
from kfp_edge.gitops.layout import KUSTOMIZATION, MODELS, RINGS, SITES
from kfp_edge.gitops.tree import Checkout
from kfp_edge.storage.files import write_file

#: What stands for the names of a site while kustomize renders it: texts that it passes on, whatever they are.
_STAND_INS = {
    "name": "kfp-edge-stand-in-name",
    "namespace": "kfp-edge-stand-in-namespace",
    "registry": "kfp-edge-stand-in-registry",
    "pull_secret": "kfp-edge-stand-in-secret",
}
_STAND_IN = re.compile(rf"(?P<whole>(?<=: )(?:{'|'.join(_STAND_INS.values())})$)|{'|'.join(_STAND_INS.values())}", re.M)
# What every reader of YAML takes for a text without quotes.
_PLAIN = re.compile(r"(?!(?:y|n|yes|no|on|off|true|false|null)$)[a-z][a-z0-9-]*")


def render_sites(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the name of each site and its objects as YAML.

    A site whose files are as kfp-edge writes them is rendered together with those that differ from it in names,
    namespace, registry and pull secret only; any other one by itself.

    Args:
        folder: The checkout of a fleet's repository.

    Raises:
        GitError: the file of a site is not valid, or kustomize refuses; the message has its reason.
        CommandError: there is no kustomize and no kubectl.
    """
    tree = Checkout(folder)
    ring_files = (path for path in tree.list_files(RINGS) if path.endswith(f"/{KUSTOMIZATION}"))
    images = {place: new_name for place, (_, new_name) in read_ring_images(tree.read_all(ring_files)).items()}
    templates: dict[str, str] = {}
    others = []
    for site in read_sites(tree):
        names = {model: images[site.ring, model] for model in site.models if (site.ring, model) in images}
        if len(names) < len(site.models) or not _is_as_written(folder, site, names):
            others.append(site.name)
            continue
        files = render_site(_with_stand_ins(site), names)
        key = repr(sorted(files.items()))
        if key not in templates:
            templates[key] = _render_template(folder, files)
        yield site.name, _fill(templates[key], site)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from zip(others, pool.map(lambda name: build(folder / SITES / name), others), strict=True)


def _is_as_written(folder: Path, site: Site, names: dict[str, str]) -> bool:
    written = {Path(path).name: data for path, data in render_site(site, names).items()}
    present = {path.name for path in (folder / SITES / site.name).iterdir()}
    return present == set(written) and all(
        (folder / SITES / site.name / name).read_bytes() == data for name, data in written.items()
    )


def _with_stand_ins(site: Site) -> Site:
    """Return the site with stand-ins for its names, and without what its kustomization does not have."""
    stand_ins = {key: value for key, value in _STAND_INS.items() if getattr(site, key)}
    return site.model_copy(update=stand_ins | {"labels": {}, "windows": (), "cluster": ""})


def _render_template(folder: Path, files: Mapping[str, bytes]) -> str:
    with tempfile.TemporaryDirectory(prefix="kfp-edge-render-") as scratch:
        for part in (RINGS, MODELS):
            (Path(scratch) / part).symlink_to((folder / part).resolve())
        for path, data in files.items():
            write_file(Path(scratch) / path, data)
        return build(Path(scratch) / SITES / _STAND_INS["name"])


def _fill(template: str, site: Site) -> str:
    values = {stand_in: getattr(site, key) for key, stand_in in _STAND_INS.items()}

    def name_of(match: re.Match[str]) -> str:
        value: str = values[match[0]]
        return value if match["whole"] is None or _PLAIN.fullmatch(value) else json.dumps(value)

    return _STAND_IN.sub(name_of, template)

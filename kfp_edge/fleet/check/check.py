"""Checks the files of a fleet's repository, before a merge brings a mistake to the sites.

One site file that cannot be read keeps Argo CD from adding or removing any site, and other mistakes have no effect at
all, in silence. What kustomize itself refuses, it says when a site is rendered; here is what it accepts.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

from kfp_edge.fleet.check.agents import PODMAN_SETTINGS, check_agents
from kfp_edge.fleet.check.findings import Finding
from kfp_edge.fleet.check.nodes import get, items, line_of, text_of
from kfp_edge.fleet.check.rings import check_ring, read_ring_images
from kfp_edge.fleet.check.sites import check_kustomization
from kfp_edge.fleet.contracts import Delivery, Fleet, Site
from kfp_edge.fleet.documents import DocumentError, parse_document, parse_yaml, read_fleet
from kfp_edge.fleet.promotion.budget import find_exceeded
from kfp_edge.fleet.repository.project_files import SITE_APPLICATIONS, render_made_files
from kfp_edge.gitops.layout import FLEET, KUSTOMIZATION, MODELS, RINGS, SITE, SITES
from kfp_edge.gitops.tree import Checkout, Tree
from kfp_edge.suggestions import did_you_mean

_AGENTS = ("argocd", "acm")
_DIGEST = re.compile(rb"sha256:[0-9a-f]{64}")


def check_repository(repository: Path | Tree) -> list[Finding]:
    """Return what is wrong in a fleet's repository, sorted by file and line.

    Args:
        repository: The folder of a checkout, or the files of a commit.
    """
    tree = Checkout(repository) if isinstance(repository, Path) else repository
    try:
        fleet = read_fleet(tree)
    except DocumentError as error:
        return [Finding.of(error)]
    return sorted(set(_Check(fleet, *_read_files(tree)).findings()))


def _read_files(tree: Tree) -> tuple[frozenset[str], dict[str, bytes]]:
    """Return the paths of the files that matter, and the contents of those that are checked.

    They are read at once, as there may be thousands of sites.
    """
    paths = [path for folder in (SITES, RINGS, MODELS, *_AGENTS) for path in tree.list_files(folder)]
    checked = (path for path in paths if path.endswith((f"/{SITE}", f"/{KUSTOMIZATION}")) or path.startswith(_AGENTS))
    return frozenset(paths), tree.read_all([FLEET, PODMAN_SETTINGS, *checked])


@dataclass(frozen=True)
class _Check:
    fleet: Fleet
    paths: frozenset[str]
    contents: Mapping[str, bytes]
    sites: dict[str, Site] = field(default_factory=dict)

    def findings(self) -> Iterator[Finding]:
        """Yield all findings, some perhaps twice."""
        unreadable = list(self._read_sites())
        yield from unreadable
        rings = self._rings()
        images = read_ring_images(self.contents)
        for ring, models in rings.items():
            yield from self._check_ring(ring, models)
        for folder, site in self.sites.items():
            yield from self._check_site(folder, site, rings)
            yield from check_kustomization(folder, site, self.contents, self.paths, images)
        yield from self._check_clusters()
        yield from self._check_digests()
        yield from check_agents(self.fleet, self.contents)
        if not unreadable:  # these need all sites
            yield from self._check_rings_without_sites()
            yield from self._check_budgets()
            yield from self._check_made_files()

    def _read_sites(self) -> Iterator[Finding]:
        """Read the files of all sites, and yield what keeps one from being read."""
        files = defaultdict(list)
        for path in sorted(self.paths):
            top, _, below = path.partition("/")
            folder, _, file = below.partition("/")
            if top == SITES and file:
                files[folder].append(file)
        for folder, names in files.items():
            yield from self._read_site(folder, names)

    def _read_site(self, folder: str, names: list[str]) -> Iterator[Finding]:
        path = f"{SITES}/{folder}/{SITE}"
        for name in names:
            if name.endswith(f"/{SITE}"):
                yield Finding(
                    f"{SITES}/{folder}/{name}", 0, "is read by Argo CD as a site, too: its * also matches /; rename it."
                )
        if SITE not in names:
            if "site.yml" in names:
                yield Finding(f"{SITES}/{folder}/site.yml", 0, f"is not read by Argo CD; rename it to {SITE}.")
            elif KUSTOMIZATION in names and not self._is_component(f"{SITES}/{folder}/{KUSTOMIZATION}"):
                yield Finding(path, 0, f"is missing, so that nothing delivers what {KUSTOMIZATION} beside it says.")
            return
        data = self.contents[path]
        try:
            site = parse_document(Site, data, path)
        except DocumentError as error:
            yield Finding.of(error)
            return
        self.sites[folder] = site
        if site.name != folder:
            line = _line_of(data, "name")
            yield Finding(path, line, f"name is {site.name}, but the folder is {folder}; give both one name.")

    def _is_component(self, path: str) -> bool:
        """Whether a kustomization is one that others include (kustomize: Component)."""
        try:
            return text_of(get(parse_yaml(self.contents[path], path), "kind")) == "Component"
        except DocumentError:
            return False

    def _rings(self) -> dict[str, list[str]]:
        """Return the models of each folder of rings/."""
        rings: dict[str, list[str]] = defaultdict(list)
        for path in sorted(self.paths):
            parts = path.split("/")
            if parts[0] == RINGS and len(parts) == 4 and parts[3] == KUSTOMIZATION:
                rings[parts[1]].append(parts[2])
        return rings

    def _check_ring(self, ring: str, models: Iterable[str]) -> Iterator[Finding]:
        names = self.fleet.ring_names
        for model in models:
            path = f"{RINGS}/{ring}/{model}/{KUSTOMIZATION}"
            if ring not in names:
                hint = did_you_mean(ring, names)
                yield Finding(path, 0, f"is of a ring that fleet.yaml does not have; {hint}add it there, or remove it.")
            yield from check_ring(path, self.contents[path], model, self.paths)

    def _check_site(self, folder: str, site: Site, rings: Mapping[str, list[str]]) -> Iterator[Finding]:
        path = f"{SITES}/{folder}/{SITE}"
        data = self.contents[path]
        names = self.fleet.ring_names
        if site.ring not in names:
            hint = did_you_mean(site.ring, names)
            message = f"ring is {site.ring}; {hint}the rings of fleet.yaml are {', '.join(names)}."
            yield Finding(path, _line_of(data, "ring"), message)
            return
        models = rings.get(site.ring, [])
        for model in site.models:
            if model not in models:
                hint = did_you_mean(model, models)
                yield Finding(
                    path,
                    _line_of(data, "models"),
                    f"names the model {model}, which the ring {site.ring} does not have; {hint}release it to the ring "
                    "first, or remove it here.",
                )

    def _check_rings_without_sites(self) -> Iterator[Finding]:
        with_sites = {site.ring for site in self.sites.values()}
        entries = items(get(parse_yaml(self.contents[FLEET], FLEET), "rings"))
        for entry in entries if self.sites else ():
            name = text_of(get(entry, "name"))
            if name not in with_sites:
                message = f"the ring {name} has no site, so that no release can be judged there; add one, or remove it."
                yield Finding(FLEET, line_of(entry), message, "warning")

    def _check_budgets(self) -> Iterator[Finding]:
        """Yield rings of which one release would change more sites of a group than their budget lets."""
        entries = items(get(parse_yaml(self.contents[FLEET], FLEET), "rings"))
        for ring, entry in zip(self.fleet.rings, entries, strict=True):
            budget = ring.disruption_budget
            of_ring = [site for site in self.sites.values() if site.ring == ring.name]
            for model in sorted({model for site in of_ring for model in site.models}) if budget else ():
                changing = [site for site in of_ring if model in site.models]
                for exceeded in find_exceeded(budget, changing, self.sites.values()) if budget else ():
                    yield Finding(FLEET, line_of(get(entry, "disruptionBudget")), exceeded.describe(ring.name))

    def _check_clusters(self) -> Iterator[Finding]:
        """Yield sites that would overwrite each other's objects."""
        folders = defaultdict(list)
        for folder, site in self.sites.items():
            if site.delivery == Delivery.HUB:
                folders[site.cluster, site.namespace].append(folder)
        for (cluster, namespace), sharing in folders.items():
            for first, second in combinations(sharing, 2):
                shared = sorted({*self.sites[first].models} & {*self.sites[second].models})
                if shared:
                    path = f"{SITES}/{second}/{SITE}"
                    yield Finding(
                        path,
                        _line_of(self.contents[path], "namespace"),
                        f"runs {shared[0]} in the namespace {namespace} of the cluster {cluster}, as the site {first} "
                        "does; give one of them another namespace.",
                    )

    def _check_made_files(self) -> Iterator[Finding]:
        """Compare the files that are made of the sites with what they would be now."""
        made = render_made_files(self.fleet, self.sites.values(), self.paths)
        for path in sorted(self.paths - set(made)):
            if path.startswith(SITE_APPLICATIONS):
                yield Finding(path, 0, "is of no site with `delivery: site`; remove it.", "warning")
        for path, data in made.items():
            if self.contents.get(path) != data:
                is_there = path in self.paths
                state = "does not fit the sites, or this version of kfp-edge" if is_there else "is missing"
                yield Finding(path, 0, f"{state}; write it with `kfp-edge fleet check --write`.")

    def _check_digests(self) -> Iterator[Finding]:
        """Yield digests in what delivers."""
        for path, data in self.contents.items():
            if path.startswith(_AGENTS) and (match := _DIGEST.search(data)):
                line = data[: match.start()].count(b"\n") + 1
                message = (
                    "has a digest, which belongs into a ring: here, Argo CD is always out of sync (argo-cd#26585)."
                )
                yield Finding(path, line, message)


def _line_of(data: bytes, key: str) -> int:
    """Return the line of a top-level key of a file that is valid."""
    lines = data.decode().splitlines()
    return next((number for number, line in enumerate(lines, start=1) if line.startswith(f"{key}:")), 0)

"""A fleet's repository with as many sites as are asked for, and the releases of the past in its history."""

import hashlib
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from kfp_edge.fleet.contracts import Fleet, Site
from kfp_edge.fleet.promotion.audit import Decision
from kfp_edge.fleet.releases.ring_images import set_ring_image
from kfp_edge.fleet.repository.new_repository import new_fleet, new_site, render_repository
from kfp_edge.fleet.repository.project_files import render_made_files
from kfp_edge.fleet.sites.files import render_site
from kfp_edge.gitops.images import Image
from kfp_edge.gitops.layout import ring_kustomization
from kfp_edge.gitops.tree import Checkout
from kfp_edge.reports.check import Check
from kfp_edge.storage.files import write_file

RINGS = ("canary", "early", "all")
MODELS = ("press", "pump")
#: How long the newest release is at the sites.
SINCE = timedelta(hours=2)
_NIGHT = {"schedule": "0 22 * * *", "duration": "4h", "timeZone": "Europe/Berlin"}
#: The mark of the newest commit on a branch, in the input of git fast-import.
_BRANCH_MARK = 1_000_000
_OWN_PATCH = """\
patches:
  - target: {kind: Deployment, name: press}
    patch: |-
      - op: replace
        path: /spec/replicas
        value: 2
"""


@dataclass(frozen=True)
class BenchmarkFleet:
    """A checkout, and the bare repository that it is of."""

    checkout: Path
    repository: Path
    sites: tuple[Site, ...]


def digest_of(model: str, number: int) -> str:
    """Return the digest of the image of a release."""
    return f"sha256:{hashlib.sha256(f'{model} {number}'.encode()).hexdigest()}"


def create_fleet(folder: Path, count: int, metrics: str) -> BenchmarkFleet:
    """Write a fleet, commit it and clone it into a bare repository.

    One site of a hundred is in the first ring, one of ten in the second. Every other site has a registry of its own
    with a pull secret, every third a sync window; one of ten has Podman, one of ten an Argo CD of its own, and one of a
    hundred a patch of its own.

    Args:
        folder: A new folder.
        count: How many sites.
        metrics: The URL of the Prometheus with their metrics.
    """
    checkout, repository = folder / "checkout", folder / "fleet.git"
    fleet = _make_fleet(repository, metrics)
    sites = tuple(_make_site(number) for number in range(count))
    _write(checkout, render_repository(fleet))
    (checkout / "fleet.yaml").write_text((checkout / "fleet.yaml").read_text() + f"metrics:\n  prometheus: {metrics}\n")
    for ring in RINGS:
        for model in MODELS:
            image = f"quay.io/plant/{model}"
            _write(checkout, set_ring_image(Checkout(checkout), fleet, ring, model, image, digest_of(model, 0)))
    for number, site in enumerate(sites):
        files = render_site(site, {model: f"quay.io/plant/{model}" for model in MODELS})
        if number % 100 == 4:
            path = f"sites/{site.name}/kustomization.yaml"
            files[path] += _OWN_PATCH.encode() if b"patches:" not in files[path] else b""
        _write(checkout, files)
    _write(checkout, render_made_files(fleet, sites, Checkout(checkout).list_files("argocd")))
    _git(checkout, "init", "--quiet", "--initial-branch=main")
    _git(checkout, "add", "--all")
    _git(checkout, "commit", "--quiet", "--message", "feat: the fleet")
    _git(folder, "clone", "--quiet", "--bare", str(checkout), str(repository))
    return BenchmarkFleet(checkout, repository, sites)


def add_releases(fleet: BenchmarkFleet, count: int) -> None:
    """Add releases of the first model to the history, each through all rings, as kfp-edge commits and forges merge it.

    A release is a commit on a branch for each ring, with the record of the decision from the second ring on, and a
    merge; one release a day. The branches stay, as on a forge that does not delete them.
    """
    model = MODELS[0]
    texts = {ring: (fleet.checkout / ring_kustomization(ring, model)).read_bytes() for ring in RINGS}
    newest = datetime.now(UTC) - SINCE
    stream: list[bytes] = []
    for number in range(1, count + 1):
        time = newest - timedelta(days=count - number)
        for place, ring in enumerate(RINGS):
            old, new = digest_of(model, number - 1), digest_of(model, number)
            texts[ring] = texts[ring].replace(old.encode(), new.encode())
            files = {ring_kustomization(ring, model): texts[ring]}
            if place:
                decision = _decide(ring, old, new, f"1.{number}.0", time)
                files[decision.path] = decision.to_file()
            suffix = f"@{ring}" if place else ""
            branch = f"kfp-edge/{model}/1.{number}.0{suffix}"
            stream.append(_import(branch, ring, int(time.timestamp()), files, len(stream)))
    subprocess.run(
        ["git", "fast-import", "--quiet", "--force"], cwd=fleet.repository, input=b"".join(stream), check=True
    )
    _git(fleet.repository, "gc", "--quiet")


def measure_repository(repository: Path) -> int:
    """Return the bytes of the pack that a new clone of the branch of the sites fetches."""
    pack = subprocess.run(
        ["git", "pack-objects", "--stdout", "--revs", "--quiet", "--delta-base-offset"],
        cwd=repository,
        input=b"main\n",
        capture_output=True,
        check=True,
    )
    return len(pack.stdout)


def count_commits(repository: Path) -> int:
    """Return the number of commits of the branch that the sites follow."""
    return int(_git(repository, "rev-list", "--count", "main"))


def _make_fleet(repository: Path, metrics: str) -> Fleet:
    fleet = new_fleet("plant", str(repository), rings=RINGS)
    return Fleet.model_validate(
        fleet.model_dump(mode="json", by_alias=True, exclude_none=True) | {"metrics": {"prometheus": metrics}}
    )


def _make_site(number: int) -> Site:
    ring = RINGS[0] if number % 100 == 0 else RINGS[1] if number % 10 == 1 else RINGS[2]
    name = f"site-{number:05}"
    values: dict[str, Any] = {"labels": {"region": f"region-{number % 20}"}}
    delivery = {2: "podman", 3: "site"}.get(number % 10, "hub")
    if delivery != "hub":
        values |= {"delivery": delivery, "cluster": ""}
    if number % 3 == 0 and delivery != "podman":
        values["windows"] = [_NIGHT]
    if number % 2 == 0:
        values["registry"] = f"registry.{name}.example:5000"
        values["pullSecret"] = "" if delivery == "podman" else "site-registry"
    usual = new_site(name, ring, models=MODELS).model_dump(mode="json", by_alias=True)
    return Site.model_validate(usual | values)


def _decide(ring: str, old: str, new: str, version: str, time: datetime) -> Decision:
    model = MODELS[0]
    name = f"quay.io/plant/{model}"
    checks = (
        Check("error rate", True, "0.02% of 120,000 requests", "at most 1%"),
        Check("ill sites", True, "0 of 100", "at most 0%"),
        Check("soak time", True, "24 h", "at least 24 h"),
    )
    reason = f"The ring before has run {model} {version} healthily for its soak time, so the ring {ring} may have it."
    return Decision(
        "promote", model, ring, Image(model, name, old), Image(model, name, new), version, reason, checks, time
    )


def _import(branch: str, ring: str, seconds: int, files: dict[str, bytes], number: int) -> bytes:
    """Return a commit on a branch and its merge, for git fast-import; the merges have the marks 1, 2, 3, ..."""
    who = f"committer plant <plant@localhost> {seconds} +0000\n".encode()
    message = f"feat({ring}): {branch}\n".encode()
    before = f"from :{number}\n" if number else "from refs/heads/main^0\n"
    changes = [f"M 100644 inline {path}\n".encode() + _data(data) for path, data in files.items()]
    commit = [f"commit refs/heads/{branch}\nmark :{_BRANCH_MARK}\n".encode(), who, _data(message), before.encode()]
    merge = [f"commit refs/heads/main\nmark :{number + 1}\n".encode(), who, _data(b"Merge: " + message)]
    merge += [before.encode(), f"merge :{_BRANCH_MARK}\n".encode()]
    return b"".join([*commit, *changes, b"\n", *merge, *changes, b"\n"])


def _data(data: bytes) -> bytes:
    return f"data {len(data)}\n".encode() + data + b"\n"


def _write(folder: Path, files: dict[str, bytes]) -> None:
    for path, data in files.items():
        write_file(folder / path, data)


def _git(folder: Path, *args: str) -> str:
    who = ["-c", "user.name=plant", "-c", "user.email=plant@localhost"]
    done = subprocess.run(["git", *who, *args], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()

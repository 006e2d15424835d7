"""The machines of simulated sites: each pulls the repository by git, renders its folder and runs what comes out."""

import io
import re
import tarfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from kfp_edge.errors import CommandError
from kfp_edge.fleet.contracts import Site
from kfp_edge.fleet.rendering.render import build
from kfp_edge.fleet.simulation.images import Registry
from kfp_edge.fleet.simulation.metrics.store import SeriesKey
from kfp_edge.fleet.simulation.models import MODEL, Version
from kfp_edge.fleet.simulation.repository import BRANCH, git_environment
from kfp_edge.runtime.process import run, run_binary

_DIGEST = re.compile(r"image: \S+@(sha256:[0-9a-f]{64})")
#: Requests that clients send to a recorded site in a minute.
_REQUESTS_A_MINUTE = 60
#: The latency of all of them is between the third and the fourth of these, in seconds.
_BOUNDS = ("0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "+Inf")
_FAST_ENOUGH = 3


class Link:
    """The line between a site and the repository: a symbolic link, without which git reaches nothing."""

    def __init__(self, path: Path, repository: Path) -> None:
        """Connect the site."""
        self.path = path
        self._repository = repository
        self.restore()

    @property
    def is_up(self) -> bool:
        """Whether git reaches the repository."""
        return self.path.exists()

    def cut(self) -> None:
        """Disconnect the site."""
        self.path.unlink()

    def restore(self) -> None:
        """Connect the site again."""
        self.path.symlink_to(self._repository)


@dataclass
class Machine(ABC):
    """The machine of one site.

    Attributes:
        site: What `site.yaml` says.
        link: Its line to the repository.
        folder: Where it keeps its clone and what it runs.
        error: Why it did not run what it pulled, at the last look; empty if it does.
        history: From when on it ran which image, as pairs; the last one is what it runs now.
        refusals: When it took back by itself what did not become ready.
        outages: When it was not connected, from and until; the end is None while it lasts.
    """

    site: Site
    link: Link
    folder: Path
    error: str = ""
    refusals: list[datetime] = field(default_factory=list)
    history: list[tuple[datetime, str]] = field(default_factory=list)
    outages: list[tuple[datetime, datetime | None]] = field(default_factory=list)

    @property
    def digest(self) -> str:
        """The image that runs; empty before the first one."""
        return self.history[-1][1] if self.history else ""

    def cut_link(self, now: datetime) -> None:
        """Disconnect the site: it gets no commits, and its metrics do not arrive."""
        self.link.cut()
        self.outages.append((now, None))

    def restore_link(self, now: datetime) -> None:
        """Connect it again."""
        self.link.restore()
        self.outages[-1] = (self.outages[-1][0], now)

    def update(self, now: datetime) -> bool:
        """Do what the timer of the site does: pull, render, run; return whether another image runs now."""
        self.error = ""
        digest = self._pull_and_run()
        if self.error:
            self.refusals.append(now)
        if digest in ("", self.digest):
            return False
        self.history.append((now, digest))
        return True

    @abstractmethod
    def _pull_and_run(self) -> str:
        """Return the image that runs after the site has looked for a change; empty if none runs."""

    @abstractmethod
    def scrape(self) -> Mapping[SeriesKey, float]:
        """Return the metrics of the server at the site; none if it does not answer."""


@dataclass
class RecordedMachine(Machine):
    """A site without a container: it pulls and renders as others do, and reports what its server would.

    Attributes:
        registry: Where its images come from.
        minutes: How often it is scraped.
    """

    registry: Registry = field(kw_only=True)
    minutes: float = field(kw_only=True)
    _rendered: str = ""
    _samples: dict[SeriesKey, float] = field(default_factory=dict)
    _growth: dict[SeriesKey, float] = field(default_factory=dict)

    def _pull_and_run(self) -> str:
        clone = self.folder / "repository"
        if not clone.exists():
            run(["git", "init", "--quiet", "--bare", "--template=", clone], env=git_environment())
        try:
            self._git("fetch", "--quiet", "--depth=1", str(self.link.path), f"+refs/heads/{BRANCH}:refs/heads/{BRANCH}")
        except CommandError:
            return self.digest  # no network: what is here goes on
        folders = [f"{BRANCH}:{each}" for each in ("models", f"rings/{self.site.ring}", f"sites/{self.site.name}")]
        trees = self._git("rev-parse", *folders)
        if trees == self._rendered:
            return self.digest
        self._rendered = trees
        digest = self._render(clone)
        version = self.registry.version_of(digest)
        if version is None or not version.passes_self_test:
            self.error = "it is not ready in time; the site runs what it ran before"
            return self.digest
        if digest != self.digest:
            self._start(version, digest)
        return digest

    def _render(self, clone: Path) -> str:
        """Return the digest in the objects that kustomize makes of the site's folder."""
        command = ["git", "archive", BRANCH, "models", "rings", f"sites/{self.site.name}"]
        with tarfile.open(fileobj=io.BytesIO(run_binary(command, cwd=clone, env=git_environment()))) as archive:
            archive.extractall(self.folder / "files", filter="data")
        return find_digest(build(self.folder / "files/sites" / self.site.name))

    def _start(self, version: Version, digest: str) -> None:
        """Begin the series of a server that has just been started."""
        where = (("site", self.site.name), ("job", "kfp-edge"), ("instance", self.site.name))
        of_model = (*where, ("model", MODEL), ("version", version.name))
        requests = _REQUESTS_A_MINUTE * self.minutes
        info: SeriesKey = ("kfp_edge_model_info", (*of_model, ("image_digest", digest)))
        self._samples = {info: 1.0, ("kfp_edge_ready", where): 1.0}
        self._growth = {("kfp_edge_requests_total", (*of_model, ("code", "200"))): requests}
        for number, bound in enumerate(_BOUNDS):
            key: SeriesKey = ("kfp_edge_request_duration_seconds_bucket", (*of_model, ("le", bound)))
            self._growth[key] = requests if number >= _FAST_ENOUGH else 0.0
        self._samples |= dict.fromkeys(self._growth, 0.0)

    def scrape(self) -> Mapping[SeriesKey, float]:
        """Return the metrics of the recorded server, which has got its requests of another tick."""
        for key, growth in self._growth.items():
            self._samples[key] += growth
        return self._samples

    def _git(self, *args: str) -> str:
        return run(["git", *args], cwd=self.folder / "repository", env=git_environment())


def find_digest(objects: str) -> str:
    """Return the digest of the image in the objects of a site; empty if there is none."""
    match = _DIGEST.search(objects)
    return match[1] if match else ""

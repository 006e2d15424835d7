"""A fleet's repository with a history: what its rings had, and when."""

import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from kfp_edge.fleet.contracts import Fleet, Site
from kfp_edge.fleet.documents import read_fleet
from kfp_edge.fleet.releases.ring_images import set_ring_image
from kfp_edge.fleet.remote import FleetRemote
from kfp_edge.fleet.repository.new_repository import Agent, new_fleet
from kfp_edge.git.remote import GitRemote
from kfp_edge.gitops.tree import Checkout
from support.fleets import DIGESTS, write_files, write_fleet
from support.git_repositories import git
from support.prometheus import NOW

_IDENTITY = {f"GIT_{role}_{what}": "other@localhost" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


@dataclass(frozen=True)
class FleetClone:
    """A bare repository, and a clone of it in which people work."""

    repository: Path
    folder: Path

    @property
    def remote(self) -> FleetRemote:
        return FleetRemote(GitRemote.parse(str(self.repository)), "main")

    def commit(self, files: Mapping[str, bytes | str], hours_ago: float) -> str:
        """Commit files to the branch that the sites follow; return the commit."""
        write_files(self.folder, files)
        return self._push(NOW - timedelta(hours=hours_ago))

    def release(self, ring: str, digest: str, hours_ago: float, model: str = "pump", image_name: str = "") -> str:
        """Give a ring an image."""
        tree = Checkout(self.folder)
        files = set_ring_image(tree, read_fleet(tree), ring, model, image_name or f"quay.io/team/{model}", digest)
        return self.commit(files, hours_ago)

    def merge_release(self, ring: str, digest: str, hours_ago: float, *, proposed: float) -> str:
        """Give a ring an image that was proposed before, with a merge commit."""
        before = git(self.folder, "rev-parse", "HEAD")
        self.release(ring, digest, proposed)
        tree = git(self.folder, "rev-parse", "HEAD^{tree}")
        command = ["commit-tree", tree, "-p", before, "-p", "HEAD", "-m", "merge"]
        when = (NOW - timedelta(hours=hours_ago)).isoformat()
        env = os.environ | {"GIT_COMMITTER_DATE": when, "GIT_AUTHOR_DATE": when} | _IDENTITY
        run = subprocess.run(["git", *command], cwd=self.folder, env=env, check=True, capture_output=True, text=True)
        git(self.folder, "reset", "--quiet", "--hard", run.stdout.strip())
        git(self.folder, "push", "--quiet", "--force", "origin", "HEAD:main")
        return run.stdout.strip()

    def head(self, branch: str = "main") -> str:
        """Return the commit of a branch of the repository."""
        return git(self.repository, "rev-parse", branch)

    def show(self, path: str, branch: str = "main") -> str:
        """Return a file of a branch of the repository."""
        return git(self.repository, "show", f"{branch}:{path}")

    def _push(self, when: datetime) -> str:
        date = {f"GIT_{who}_DATE": when.isoformat() for who in ("AUTHOR", "COMMITTER")}
        git(self.folder, "add", "--all")
        command = ["git", "commit", "--quiet", "--allow-empty", "--message", "change"]
        subprocess.run(command, cwd=self.folder, env=os.environ | date | _IDENTITY, check=True)
        git(self.folder, "push", "--quiet", "origin", "HEAD:main")
        return git(self.folder, "rev-parse", "HEAD")


def create_fleet(
    folder: Path,
    sites: Iterable[Site],
    *,
    fleet: Fleet | None = None,
    metrics: str = "",
    rings: tuple[str, ...] = ("canary", "all"),
    models: tuple[str, ...] = ("pump",),
    agents: Iterable[Agent] = (Agent.HUB,),
    hours_ago: float = 1000,
) -> FleetClone:
    """Create a fleet whose rings run the first digest since long ago."""
    repository, clone = folder / "fleet.git", folder / "clone"
    repository.mkdir(parents=True)
    git(repository, "init", "--quiet", "--bare", "--initial-branch=main")
    git(folder, "clone", "--quiet", str(repository), str(clone))
    written = fleet or new_fleet("plant", str(repository), rings=rings)
    write_fleet(clone, sites, models=models, fleet=written, agents=agents)
    if metrics:
        text = (clone / "fleet.yaml").read_text()
        (clone / "fleet.yaml").write_text(f"{text}metrics:\n  prometheus: {metrics}\n")
    made = FleetClone(repository, clone)
    made.commit({}, hours_ago)
    return made


__all__ = ["DIGESTS", "NOW", "FleetClone", "create_fleet"]

"""The GitOps repository of a simulated fleet, and the person who owns it."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from kfp_edge.errors import GitError
from kfp_edge.fleet.check.check import check_repository
from kfp_edge.fleet.contracts import Ring
from kfp_edge.fleet.documents import read_fleet
from kfp_edge.fleet.releases.branches import review_branch
from kfp_edge.fleet.releases.ring_images import set_ring_image
from kfp_edge.fleet.remote import FleetRemote
from kfp_edge.fleet.repository.new_repository import Agent, new_fleet, render_repository
from kfp_edge.fleet.sites.changes import add_sites
from kfp_edge.fleet.sites.files import FIRST_PORT
from kfp_edge.git.remote import GitRemote
from kfp_edge.gitops.changes import Change, PlannedCommit, propose_change
from kfp_edge.gitops.layout import FLEET, site_kustomization
from kfp_edge.gitops.tree import Checkout, Tree
from kfp_edge.runtime.process import run
from kfp_edge.storage.files import write_file

BRANCH = "main"
#: How long a site may take to run a release.
MAX_UPDATE_TIME = "1h"
_AUTHOR = "Rehearsal"
_MAX_ILL_SITES = "      maxIllSites: 0%\n"


def git_environment(when: datetime | None = None) -> dict[str, str]:
    """Return an environment in which git knows nothing of its user, and commits at a simulated time."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "KFP_EDGE_GIT_"))}
    env |= {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    for role in ("AUTHOR", "COMMITTER"):
        env |= {f"GIT_{role}_NAME": _AUTHOR, f"GIT_{role}_EMAIL": "rehearsal@localhost"}
        if when is not None:
            env[f"GIT_{role}_DATE"] = when.isoformat()
    return env


@dataclass(frozen=True)
class FleetRepository:
    """A bare repository, and a checkout in which its owner works."""

    bare: Path
    checkout: Path

    @classmethod
    def create(cls, folder: Path) -> "FleetRepository":
        """Create an empty repository and clone it.

        Raises:
            CommandError: git refuses, or is not installed.
        """
        made = cls(folder / "fleet.git", folder / "checkout")
        run(["git", "init", "--quiet", "--bare", f"--initial-branch={BRANCH}", made.bare], env=git_environment())
        run(["git", "clone", "--quiet", made.bare, made.checkout], env=git_environment())
        made._git("checkout", "--quiet", "-B", BRANCH)
        return made

    @property
    def remote(self) -> FleetRemote:
        """What the commands of a fleet work on."""
        return FleetRemote(GitRemote.parse(str(self.bare)), BRANCH)

    def head(self) -> str:
        """Return the commit that the sites should have."""
        return (self.bare / "refs/heads" / BRANCH).read_text().strip()

    def write_fleet(self, rings: Sequence[Ring], prometheus: str) -> None:
        """Write the files of a new fleet whose sites have Podman, as `fleet init` does, with policies and metrics."""
        fleet = new_fleet("plant", str(self.bare), rings=[ring.name for ring in rings])
        fleet = fleet.model_copy(update={"rings": tuple(rings)})
        for path, data in render_repository(fleet, [Agent.PODMAN]).items():
            write_file(self.checkout / path, data)
        file = self.checkout / FLEET
        text = file.read_text(encoding="utf-8")
        text = text.replace(_MAX_ILL_SITES, f"{_MAX_ILL_SITES}      maxUpdateTime: {MAX_UPDATE_TIME}\n")
        write_file(file, f"{text}metrics:\n  prometheus: {prometheus}\n".encode())

    def write_releases(self, model: str, image_name: str, digest: str) -> None:
        """Give every ring the same image."""
        tree = Checkout(self.checkout)
        fleet = read_fleet(tree)
        for ring in fleet.ring_names:
            for path, data in set_ring_image(tree, fleet, ring, model, image_name, digest).items():
                write_file(self.checkout / path, data)

    def write_sites(self, rows: Sequence[Mapping[str, str]], ports: Mapping[str, int]) -> None:
        """Add sites, as `fleet add-site --csv` does; those with a port share this machine, and need names of their own.

        Raises:
            GitError: the files do not pass `fleet check`.
        """
        add_sites(self.checkout, [(row["name"], row) for row in rows])
        for site, port in ports.items():
            path = self.checkout / site_kustomization(site)
            write_file(path, _share_machine(path.read_text(encoding="utf-8"), site, port).encode())
        errors = [finding for finding in check_repository(self.checkout) if finding.severity == "error"]
        if errors:
            raise GitError(f"the simulated fleet does not pass its check: {errors[0]}")

    def commit(self, message: str, when: datetime) -> None:
        """Commit all that is in the checkout, and push it."""
        self._git("add", "--all")
        self._git("commit", "--quiet", "--message", message, when=when)
        self._git("push", "--quiet", "origin", BRANCH)

    def propose_release(self, ring: str, model: str, version: str, image_name: str, digest: str) -> Change:
        """Commit a release to the review branch of a ring, as `gitops_commit` does."""

        def plan(tree: Tree) -> PlannedCommit:
            files = set_ring_image(tree, read_fleet(tree), ring, model, image_name, digest)
            message = f"feat({ring}): {model} {version}\n\nImage: {image_name}@{digest}\nModel-Version: {version}\n"
            return PlannedCommit(review_branch(model, version), message, files)

        return propose_change(self.remote.remote, BRANCH, plan)

    def merge(self, branch: str, when: datetime) -> None:
        """Merge a review branch, as its reviewer does."""
        self._git("fetch", "--quiet", "origin")
        self._git("reset", "--quiet", "--hard", f"origin/{BRANCH}")
        self._git("merge", "--quiet", "--no-ff", "--message", f"Merge {branch}", f"origin/{branch}", when=when)
        self._git("push", "--quiet", "origin", BRANCH)

    def _git(self, *args: str, when: datetime | None = None) -> str:
        return run(["git", *args], cwd=self.checkout, env=git_environment(when))


def _share_machine(text: str, site: str, port: int) -> str:
    """Give a site a port of this machine, which no other machine reaches, and its pods a name of their own.

    Its server ends at once: no load balancer has to notice first.
    """
    container = "/spec/template/spec/containers/0"
    added = [
        f"        value: {port}",
        "      - op: add",
        f"        path: {container}/ports/0/hostIP",
        "        value: 127.0.0.1",
        "      - op: replace",
        f"        path: {container}/env/0",
        '        value: {name: KFP_EDGE_SHUTDOWN_DELAY, value: "0"}',
    ]
    text = text.replace(f"        value: {FIRST_PORT}", "\n".join(added))
    return text.replace("kind: Kustomization\n", f'kind: Kustomization\nnameSuffix: "-{site}"\n', 1)

"""Commits of releases to a GitOps repository, as `gitops_commit` makes them, and what is in them."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from kfp_edge.components.gitops_commit.gitops_commit import Destination, Release, commit_release
from kfp_edge.git.remote import GitRemote
from kfp_edge.gitops.changes import Change
from kfp_edge.gitops.target import FileTarget
from kfp_edge.images.model_format import ModelFormat
from support import fleets
from support.git_repositories import git, merge

DIGESTS = tuple(f"sha256:{digit * 64}" for digit in "abc")
RING = "rings/canary/pump/kustomization.yaml"
REVIEW = "kfp-edge/pump/1.0.0"


def release(
    version: str = "1.0.0", digest: str = DIGESTS[0], model: str = "pump", host: str = "quay.io/team"
) -> Release:
    """Return a release of an image that exists nowhere."""
    return Release(model, version, f"{host}/{model}", digest)


def commit(folder: Path, what: Release | None = None, ring: str = "", target: FileTarget | None = None) -> Change:
    """Commit a release to its review branch."""
    return commit_release(what or release(), Destination(GitRemote.parse(str(folder)), "main", ring, target))


def released(folder: Path, what: Release | None = None, ring: str = "") -> str:
    """Commit a release and merge it, as a reviewer does."""
    return merge(folder, commit(folder, what, ring).branch)


def files(folder: Path, commit: str) -> list[str]:
    """Return the paths of the files of a commit or a branch."""
    return git(folder, "ls-tree", "-r", "--name-only", commit).splitlines()


def changed_lines(folder: Path, commit: str) -> list[str]:
    """Return the lines that a commit adds and removes."""
    diff = git(folder, "show", "--format=", "--unified=0", commit).splitlines()
    return [line for line in diff if line[0] in "+-" and line[:3] not in ("+++", "---")]


def checkout(folder: Path, commit: str, tmp_path: Path) -> Path:
    """Return a new clone that has this commit or branch."""
    clone = Path(tempfile.mkdtemp(dir=tmp_path, prefix="checkout-"))
    git(tmp_path, "clone", "--quiet", "--no-checkout", str(folder), str(clone))
    git(clone, "checkout", "--quiet", commit)
    return clone


def rendered(folder: Path, commit: str, path: str, tmp_path: Path) -> dict[str, Any]:
    """Check a commit out and render a folder of it with the real kustomize; return the objects by kind."""
    return fleets.rendered(checkout(folder, commit, tmp_path) / path)


def modelcar(version: str = "1.0.0") -> Release:
    """Return a release for KServe."""
    return replace(release(version), format=ModelFormat.MODELCAR)

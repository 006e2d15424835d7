"""A site without Kubernetes: the script that the timer starts, with real git, kustomize and Podman."""

import os
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests

from kfp_edge.components.containerize.containerize import containerize
from kfp_edge.components.gitops_commit.gitops_commit import Destination, Release, commit_release
from kfp_edge.fleet.repository.new_repository import Agent
from kfp_edge.git.remote import GitRemote
from kfp_edge.images.oci.references import ImageRef, ImageRepository
from kfp_edge.images.podman import podman, podman_environment
from kfp_edge.images.registry import copy_image
from support import git_repositories
from support.bundles import tiny_bundle
from support.fleets import DIGESTS, site_with, write_fleet
from support.git_repositories import bare, git, merge, push_from_another_clone
from support.paths import ROOT
from support.registry import RegistryServer
from support.serving_images import serving_image

SCRIPT = ROOT / "deploy/gitops/podman/podman/kfp-edge-site"
RUNS = "sites/hall-1/kustomization.yaml"


@dataclass(frozen=True)
class SiteMachine:
    """The machine of the site `hall-1`, and the repository that it pulls."""

    folder: Path
    repository: Path
    port: int
    settings: dict[str, str] = field(default_factory=dict)

    def look(self, **settings: str) -> subprocess.CompletedProcess[str]:
        """Do what the timer does."""
        env = podman_environment() | {
            "KFP_EDGE_REPOSITORY": str(self.repository),
            "KFP_EDGE_SITE": "hall-1",
            "KFP_EDGE_STATE": str(self.folder / "state"),
            "KFP_EDGE_TIMEOUT": "20",
            "PATH": f"{os.environ['PATH']}{os.pathsep}{Path(sys.executable).parent}",
        }
        return subprocess.run(
            ["sh", SCRIPT], env=env | self.settings | settings, capture_output=True, text=True, check=False
        )

    def state(self, name: str) -> str:
        file = self.folder / "state" / name
        return file.read_text().strip() if file.exists() else ""

    def release(self, image_name: str, digest: str, version: str = "1.0.0") -> str:
        """Release an image to the ring, and merge it; return the commit."""
        change = commit_release(
            Release("pump", version, image_name, digest), Destination(GitRemote(str(self.repository)), "main")
        )
        return merge(self.repository, change.branch)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SiteMachine:
    git_repositories.isolate(monkeypatch, tmp_path)
    work = write_fleet(
        tmp_path / "work",
        [site_with("hall-1", delivery="podman", cluster="", models=[])],
        rings=("canary",),
        models=(),
        agents=(Agent.PODMAN,),
    )
    files = {path.relative_to(work).as_posix(): path.read_text() for path in work.rglob("*") if path.is_file()}
    repository = bare(tmp_path / "fleet.git")
    push_from_another_clone(repository, "main", files)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return SiteMachine(tmp_path / "machine", repository, port)


def test_a_site_without_models_runs_nothing(machine: SiteMachine) -> None:
    machine.folder.mkdir()
    result = machine.look(PATH=_without_podman(machine.folder))
    assert result.returncode == 0, result.stderr
    assert machine.state("commit") == git(machine.repository, "rev-parse", "main")


def test_an_image_without_a_digest_is_refused(machine: SiteMachine) -> None:
    machine.folder.mkdir()
    machine.release("quay.io/team/pump", DIGESTS[0])
    ring = "rings/canary/pump/kustomization.yaml"
    text = git(machine.repository, "show", f"main:{ring}").replace(f'digest: "{DIGESTS[0]}"', 'newTag: "1.0"')
    text = text.partition("# The server reports")[0]  # without a digest, kustomize has none to copy and refuses
    push_from_another_clone(machine.repository, "main", {ring: text})
    result = machine.look(PATH=_without_podman(machine.folder))
    assert result.returncode == 1
    assert "the image quay.io/team/pump:1.0 has no digest" in result.stderr
    assert machine.state("error").endswith("the image quay.io/team/pump:1.0 has no digest")


def test_a_commit_that_nobody_allowed_signed_is_refused(machine: SiteMachine, tmp_path: Path) -> None:
    machine.folder.mkdir()
    (tmp_path / "signers").write_text("")
    result = machine.look(KFP_EDGE_SIGNERS=str(tmp_path / "signers"), PATH=_without_podman(machine.folder))
    assert result.returncode == 1
    assert "is not signed by an allowed signer" in result.stderr


def test_a_site_that_has_never_had_a_connection_says_so(machine: SiteMachine) -> None:
    machine.folder.mkdir()
    result = machine.look(KFP_EDGE_REPOSITORY=str(machine.folder / "nowhere"))
    assert result.returncode == 1
    assert "no commit of main has come yet" in result.stderr


def test_a_site_that_is_not_in_the_repository_is_named(machine: SiteMachine) -> None:
    machine.folder.mkdir()
    result = machine.look(KFP_EDGE_SITE="hall-2")
    assert result.returncode == 1
    assert "has no sites/hall-2" in result.stderr


@pytest.mark.containers
def test_a_release_is_run_a_bad_one_is_taken_back_and_a_cut_link_changes_nothing(
    machine: SiteMachine, registry: RegistryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.folder.mkdir()
    monkeypatch.setenv("SSL_CERT_FILE", str(registry.cert_dir / "ca.crt"))
    good = containerize(tiny_bundle(tmp_path / "bundle", "pump").folder, f"{registry.url}/podman-site")
    merged = machine.release(good.repository, good.digest)
    text = git(machine.repository, "show", f"main:{RUNS}").replace("value: 8080", f"value: {machine.port}")
    merged = push_from_another_clone(machine.repository, "main", {RUNS: text})
    ready = f"http://127.0.0.1:{machine.port}/v2/health/ready"
    try:
        result = machine.look()
        assert result.returncode == 0, result.stderr
        assert requests.get(ready, timeout=5).status_code == 200
        assert machine.state("commit") == merged

        assert "the site runs commit" in machine.look().stdout  # nothing to do

        bad = _without_model(good)
        machine.release(bad.repository, bad.digest, "2.0.0")
        result = machine.look(KFP_EDGE_TIMEOUT="3")
        assert result.returncode == 1
        assert "was not ready within 3 s; the site runs what it ran before" in result.stderr
        assert requests.get(ready, timeout=5).status_code == 200
        assert machine.state("commit") == merged
        assert "was not ready in time before" in machine.look().stderr  # not tried again and again

        # the machine was started again, and the link is cut
        podman("pod", "rm", "--all", "--force")
        machine.release(good.repository, good.digest, "2.0.1")
        away = machine.repository.rename(tmp_path / "away.git")
        result = machine.look()
        assert result.returncode == 1, result.stdout
        assert "the repository cannot be reached" in result.stdout
        away.rename(machine.repository)
        assert machine.look().returncode == 0
        assert requests.get(ready, timeout=5).status_code == 200
    finally:
        podman("pod", "rm", "--all", "--force")


def _without_model(good: ImageRef) -> ImageRef:
    """Push the serving image without a model, which ends at once, to the same repository."""
    layout, digest = serving_image()
    repository = ImageRepository.parse(f"docker://{good.repository}")
    return copy_image(ImageRef("oci", str(layout), digest), repository, "without-model")


def _without_podman(folder: Path) -> str:
    """Return a PATH on which `podman` runs nothing and starts nothing."""
    fake = folder / "bin"
    fake.mkdir(exist_ok=True)
    (fake / "podman").write_text("#!/bin/sh\nexit 0\n")
    (fake / "podman").chmod(0o755)
    return os.pathsep.join([str(fake), os.environ["PATH"], str(Path(sys.executable).parent)])

"""A site without Kubernetes: the script that the timer starts, with real git, kustomize and Podman."""

import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field, replace
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


class TestASiteWhosePodsAreGone:
    """The machine was started again, or a pod was removed, while the branch has something that cannot be run."""

    @pytest.fixture
    def site(self, machine: SiteMachine) -> SiteMachine:
        """A site that runs a release, with a Podman that only notes what runs."""
        machine.folder.mkdir()
        path = _noting_podman(machine.folder)
        machine.release("quay.io/team/pump", DIGESTS[0])
        running = replace(machine, settings={"PATH": path, "KFP_EDGE_TIMEOUT": "1"})
        assert running.look().returncode == 0
        return running

    def test_starts_again_what_it_ran_before_a_release_that_was_not_ready(self, site: SiteMachine) -> None:
        (site.folder / "bad").write_text(DIGESTS[1])
        site.release("quay.io/team/pump", DIGESTS[1], "1.1.0")
        assert "the site runs what it ran before" in site.look().stderr
        (site.folder / "playing").unlink()
        result = site.look()
        assert "was not ready in time before" in result.stderr
        assert DIGESTS[0] in (site.folder / "playing").read_text()

    def test_says_that_podman_could_not_start_a_release(self, site: SiteMachine) -> None:
        (site.folder / "unplayable").write_text(DIGESTS[1])
        site.release("quay.io/team/pump", DIGESTS[1], "1.1.0")
        assert "could not be started by Podman; the site runs what it ran before" in site.look().stderr
        assert DIGESTS[0] in (site.folder / "playing").read_text()

    def test_starts_again_what_it_ran_before_a_file_that_a_person_broke(self, site: SiteMachine) -> None:
        push_from_another_clone(site.repository, "main", {RUNS: "resources: [nowhere]\n"})
        (site.folder / "playing").unlink()
        result = site.look()
        assert result.returncode == 1
        assert "kustomize refuses sites/hall-1" in result.stderr
        assert DIGESTS[0] in (site.folder / "playing").read_text()

    def test_leaves_alone_what_runs(self, site: SiteMachine) -> None:
        push_from_another_clone(site.repository, "main", {RUNS: "resources: [nowhere]\n"})
        (site.folder / "playing").write_text("kind: Deployment\n")
        site.look()
        assert (site.folder / "playing").read_text() == "kind: Deployment\n"

    def test_does_not_take_what_an_interrupted_run_started_for_what_was_applied(self, site: SiteMachine) -> None:
        (site.folder / "killing").write_text(DIGESTS[1])
        site.release("quay.io/team/pump", DIGESTS[1], "1.1.0")
        assert site.look().returncode == -signal.SIGKILL
        assert DIGESTS[1] in (site.folder / "playing").read_text()
        site.release("quay.io/team/pump", DIGESTS[0], "1.1.1")
        assert site.look().returncode == 0
        assert DIGESTS[0] in (site.folder / "playing").read_text()


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
        assert requests.get(ready, timeout=5).status_code == 200
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


def _noting_podman(folder: Path) -> str:
    """Return a PATH with a `podman` that notes what it plays, and a `curl` that asks it.

    The digest in the file `bad` does not become ready, at that in `killing` the script is killed, and that in
    `unplayable` cannot be started.
    """
    path = _without_podman(folder)
    podman_script = f"""#!/bin/sh
case "$1 $2" in
    "pod ps") grep '^kind: Deployment' {folder}/playing 2> /dev/null | sed 's/.*/Running/' ;;
    "pod rm") rm -f {folder}/playing ;;
    "kube play") ! grep --quiet --file={folder}/unplayable "$3" && cp "$3" {folder}/playing ;;
esac
"""
    curl_script = f"""#!/bin/sh
if grep --quiet --file={folder}/killing {folder}/playing; then kill -KILL "$PPID"; fi
! grep --quiet --file={folder}/bad {folder}/playing
"""
    for name, script in (("podman", podman_script), ("curl", curl_script)):
        (folder / "bin" / name).write_text(script)
        (folder / "bin" / name).chmod(0o755)
    for name in ("bad", "killing", "unplayable"):
        (folder / name).write_text("nothing")
    return path


def _without_podman(folder: Path) -> str:
    """Return a PATH on which `podman` runs nothing and starts nothing."""
    fake = folder / "bin"
    fake.mkdir(exist_ok=True)
    (fake / "podman").write_text("#!/bin/sh\nexit 0\n")
    (fake / "podman").chmod(0o755)
    return os.pathsep.join([str(fake), os.environ["PATH"], str(Path(sys.executable).parent)])

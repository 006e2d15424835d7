"""The pages of a fleet: every command in them works in the repository that they describe."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kfp_edge.fleet.repository.new_repository import Agent
from support.documents import list_commands, read_blocks
from support.fleet_history import FleetClone, create_fleet
from support.fleets import site_with
from support.git_repositories import git, isolate
from support.model_images import write_model_images
from support.paths import ROOT
from support.prometheus import prometheus_with
from support.registry import registry_server

OWNER, OPERATOR = ROOT / "docs/fleet-owner.md", ROOT / "docs/site-operator.md"
MODEL = "press-failure"
BRANCH = f"kfp-edge/{MODEL}/1.4.0"
SITES = [
    site_with("hall-7", models=[MODEL], labels={"region": "south"}),
    site_with("hall-1", "early", models=[MODEL]),
    site_with("hall-2", "all", models=[MODEL], delivery="site", cluster=""),
]


@dataclass(frozen=True)
class Desk:
    """A folder with `edge-sites`, a checkout of the fleet, and the variables that commands need."""

    folder: Path
    env: dict[str, str]

    @property
    def checkout(self) -> Path:
        return self.folder / "edge-sites"

    def run(self, command: str, folder: Path | None = None) -> str:
        """Run a command as a shell does, and return what it wrote."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=folder or self.checkout,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FleetClone, dict[str, str]]]:
    """A fleet with two releases in a real registry, its metrics in a real Prometheus, and a branch to review."""
    folder = tmp_path_factory.mktemp("fleet")
    with pytest.MonkeyPatch.context() as patch, prometheus_with(folder / "prometheus", []) as metrics:
        isolate(patch, tmp_path_factory.mktemp("home"))
        with registry_server(folder / "registry") as registry:
            for name, value in registry.env.items():
                patch.setenv(name, value)
            repository = f"{registry.host}/edge/{MODEL}"
            releases = f"docker://{registry.host}/edge"
            digests = write_model_images(folder, "1.3.0", "1.4.0", model=MODEL, registry=releases).digests
            rings, agents = ("canary", "early", "all"), tuple(Agent)
            fleet = create_fleet(folder, SITES, metrics=metrics, rings=rings, models=(MODEL,), agents=agents)
            for number, digest in enumerate(digests):
                fleet.release("canary", digest, 100 - number, MODEL, repository)
            git(fleet.repository, "branch", BRANCH, "main")
            yield fleet, registry.env


@pytest.fixture
def desk(made: tuple[FleetClone, dict[str, str]], tmp_path: Path) -> Desk:
    fleet, env = made
    remote = tmp_path / "fleet.git"
    shutil.copytree(fleet.repository, remote)
    git(tmp_path, "clone", "--quiet", str(remote), "edge-sites")
    checkout = tmp_path / "edge-sites"
    for path in git(checkout, "grep", "--files-with-matches", str(fleet.repository)).splitlines():
        text = (checkout / path).read_text()
        (checkout / path).write_text(text.replace(str(fleet.repository), str(remote)))
    git(checkout, "commit", "--quiet", "--all", "--message", "the copy")
    git(checkout, "push", "--quiet", "origin", "main")
    (block,) = read_blocks(OWNER, "csv")
    (checkout / "sites.csv").write_text(block)
    who = {f"GIT_{role}_{what}": "ada@plant" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return Desk(tmp_path, {**os.environ, **env, **who, "PATH": path, "PASSWORD": "s3cret", "TOKEN": "s3cret"})


@pytest.mark.parametrize("command", [each for each in list_commands() if re.match("kfp-edge fleet (?!simulate)", each)])
def test_every_command_of_a_fleet_works_as_written(desk: Desk, command: str) -> None:
    if " init " in command:
        (desk.folder / "new").mkdir()
        desk.run(command, desk.folder / "new")
        return
    if "add-site hall-7" in command:
        shutil.rmtree(desk.checkout / "sites/hall-7")
    desk.run(command, desk.folder if "--repository edge-sites" in command else desk.checkout)


def test_the_table_of_sites_adds_them_and_the_fleet_passes_its_check(desk: Desk) -> None:
    desk.run("kfp-edge fleet add-site --csv sites.csv && kfp-edge fleet check")
    assert "Europe/Berlin" in (desk.checkout / "sites/hall-8/site.yaml").read_text()


def test_a_fleet_beside_a_repository_without_rings_passes_its_check(desk: Desk) -> None:
    new = desk.folder / "new"
    new.mkdir()
    section = OWNER.read_text().partition("## From a repository without rings\n")[2].partition("\n## ")[0]
    commands = re.findall(r"^kfp-edge fleet .*$", section, re.MULTILINE)
    assert [command.split()[2] for command in commands] == ["init", "add-site", "check"]
    for command in commands:
        desk.run(command, new)
    assert 'ring: "canary"' in (new / "sites/site-1/site.yaml").read_text()


def test_the_commands_of_git_work_in_their_order(desk: Desk) -> None:
    (desk.checkout / "README.md").write_text("Ours.\n")
    of_git = [line for block in read_blocks(OWNER, "sh") for line in block.splitlines() if line.startswith("git ")]
    assert len(of_git) > 3
    for command in of_git:
        desk.run(command)


def test_the_operator_creates_secrets_that_kubernetes_takes(desk: Desk) -> None:
    created = [each for each in list_commands([OPERATOR]) if each.startswith("kubectl create ")]
    assert len(created) == 3
    for command in created:
        assert "kind: " in desk.run(f"{command} --dry-run=client --output=yaml")


@pytest.mark.parametrize("command", [each for each in list_commands([OPERATOR]) if each.startswith("kubectl apply ")])
def test_what_the_operator_applies_is_in_the_repository(desk: Desk, command: str) -> None:
    words = shlex.split(command)
    if "--kustomize" in words:
        desk.run(f"kubectl kustomize {words[-1]}")
        return
    desk.run("kfp-edge fleet check --write")
    name = words[words.index("--filename") + 1].replace("hall-7", "hall-2")
    assert "kind: Application" in (desk.checkout / name).read_text()


def test_what_the_operator_installs_is_in_the_repository(desk: Desk) -> None:
    copied = [each for each in list_commands([OPERATOR]) if re.match("install |cp ", each)]
    files = [word for command in copied for word in shlex.split(command) if word.startswith("podman/")]
    assert len(files) == 4
    assert [name for name in files if not (desk.checkout / name).exists()] == []

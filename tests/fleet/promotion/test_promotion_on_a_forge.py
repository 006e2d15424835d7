"""`fleet promote` where releases were squashed: a forge may keep no more of a commit than its title."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kfp_edge.fleet.promotion.judgement import Verdict
from kfp_edge.fleet.promotion.promote import Rollout, promote
from kfp_edge.fleet.remote import FleetRemote
from kfp_edge.git import repository as git_repository
from kfp_edge.git.remote import GitRemote
from support.fake_forges import TOKEN, FakeRepository, ForgeServer, forge_server
from support.fleet_history import create_fleet
from support.fleets import site_with
from support.model_images import write_model_images
from support.prometheus import NOW, Served, prometheus_with

DATA = {"1.0.0": "0" * 64, "1.1.0": "1" * 64}


@dataclass(frozen=True)
class Case:
    """A fleet on a forge, and the images of its two releases."""

    target: FleetRemote
    forge: FakeRepository
    registry: str
    digests: dict[str, str]

    def release(self, version: str, recall: float) -> None:
        """Add the pull request of a release to the first ring, which was squashed, as `gitops_commit` writes it."""
        body = (
            f"| digest | none | {self.digests[version]} |\n| data (sha256) | unknown | {DATA[version]} |\n\n"
            f"<details><summary>What the release says</summary>\n\n- recall: {recall} on held-out rows\n\n</details>"
        )
        pull = self.forge.add(f"kfp-edge/pump/{version}", title=f"feat(canary): pump {version}", body=body)
        pull.state, pull.merged_at = "merged", "2026-11-19T04:00:00Z"

    def promote(self) -> Rollout:
        return promote(self.target, "pump", NOW, registry=self.registry)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, str]]:
    """The address of a registry, and the digests of its images by their versions."""
    images = write_model_images(tmp_path_factory.mktemp("images"), *DATA)
    return images.registry, dict(zip(DATA, images.digests, strict=True))


@pytest.fixture(scope="module")
def prometheus(registry: tuple[str, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    served = [Served("hall-1", registry[1]["1.1.0"], (30, 0))]
    with prometheus_with(tmp_path_factory.mktemp("prometheus"), served) as url:
        yield url


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForgeServer]:
    with forge_server(tmp_path_factory.mktemp("forge"), "gitea") as server:
        yield server


@pytest.fixture
def case(
    tmp_path: Path,
    registry: tuple[str, dict[str, str]],
    prometheus: str,
    server: ForgeServer,
    monkeypatch: pytest.MonkeyPatch,
) -> Case:
    url, digests = registry
    fleet = create_fleet(tmp_path, [site_with("hall-1"), site_with("hall-2", "all")], metrics=prometheus)
    text = (fleet.folder / "fleet.yaml").read_text()
    fleet.commit({"fleet.yaml": f"{text}pullRequests: {{forge: gitea}}\n"}, 950)
    for ring, version, ago in (("canary", "1.0.0", 900), ("all", "1.0.0", 890), ("canary", "1.1.0", 31)):
        fleet.release(ring, digests[version], ago)
    monkeypatch.setenv("KFP_EDGE_GIT_TOKEN", TOKEN)
    monkeypatch.setenv("KFP_EDGE_GIT_CA_FILE", str(server.certificate))
    forge = server.create(f"plant/sites-{len(server.repositories)}", fleet.repository)
    return Case(FleetRemote(GitRemote.parse(server.clone_url(forge.path)), "main"), forge, url, digests)


def test_the_metrics_come_from_the_pull_requests_of_the_releases(case: Case) -> None:
    case.release("1.0.0", 0.8)
    case.release("1.1.0", 0.9)
    rollout = case.promote()
    assert rollout.verdict is Verdict.GO_ON, rollout.summary
    (opened,) = [pull for pull in case.forge.pulls if pull.state == "open"]
    assert opened.head == "kfp-edge/pump/1.1.0@all"
    assert "| recall | 0.8 on held-out rows | 0.9 on held-out rows | better (higher is better) |" in opened.body
    assert f"| data (sha256) | {DATA['1.0.0']} | {DATA['1.1.0']} |" in opened.body


def test_the_pull_request_of_another_image_with_the_same_version_counts_for_nothing(case: Case) -> None:
    case.release("1.1.0", 0.9)
    case.forge.pulls[0].body = case.forge.pulls[0].body.replace(case.digests["1.1.0"], case.digests["1.0.0"])
    case.promote()
    (opened,) = [pull for pull in case.forge.pulls if pull.state == "open"]
    assert "## Metrics" not in opened.body


def test_the_repository_is_read_once(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    create = git_repository._create_repository
    monkeypatch.setattr(git_repository, "_create_repository", lambda remote: (opened.append(remote), create(remote))[1])
    case.promote()
    assert len(opened) == 1

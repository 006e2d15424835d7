"""A rollout that a late failure stops: what was proposed before, and what cannot be taken back."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kfp_edge.errors import KfpEdgeError
from kfp_edge.fleet.promotion.judgement import Verdict
from kfp_edge.fleet.promotion.promote import Rollout, promote
from kfp_edge.fleet.remote import FleetRemote
from kfp_edge.forges import Proposal, open_forge
from kfp_edge.git.remote import GitRemote
from support.fake_forges import TOKEN, FakeRepository, ForgeServer, forge_server
from support.fleet_history import FleetClone, create_fleet
from support.fleets import site_with
from support.git_repositories import git
from support.model_images import ModelImages
from support.prometheus import NOW, Served, prometheus_with

BRANCH = "kfp-edge/pump/1.1.0@all"


@pytest.fixture(scope="module")
def prometheus(images: ModelImages, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    servers = [Served(site, images.new, (30, 0), is_ready=False) for site in ("hall-1", "hall-2")]
    with prometheus_with(tmp_path_factory.mktemp("prometheus"), servers) as url:
        yield url


@pytest.fixture
def fleet(tmp_path: Path, prometheus: str, images: ModelImages) -> FleetClone:
    """A fleet with two rings, at whose sites the new image does not become ready."""
    made = create_fleet(tmp_path, [site_with("hall-1"), site_with("hall-2", "all")], metrics=prometheus)
    made.release("all", images.old, 900)
    return made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForgeServer]:
    with forge_server(tmp_path_factory.mktemp("forge"), "gitea") as server:
        yield server


def run(target: FleetRemote, images: ModelImages) -> Rollout:
    return promote(target, "pump", NOW, registry=images.registry)


class TestThePromotionThatWasProposedBefore:
    @pytest.fixture
    def repository(
        self, fleet: FleetClone, images: ModelImages, server: ForgeServer, monkeypatch: pytest.MonkeyPatch
    ) -> FakeRepository:
        """The fleet's repository on a forge, with the branch of a promotion."""
        monkeypatch.setenv("KFP_EDGE_GIT_TOKEN", TOKEN)
        monkeypatch.setenv("KFP_EDGE_GIT_CA_FILE", str(server.certificate))
        text = (fleet.folder / "fleet.yaml").read_text()
        fleet.commit({"fleet.yaml": f"{text}pullRequests: {{forge: gitea}}\n"}, 1)
        fleet.release("canary", images.old, 900)
        fleet.release("canary", images.new, 31)
        path = fleet.folder / "rings/all/pump/kustomization.yaml"
        path.write_text(path.read_text().replace(images.old, images.new))
        git(fleet.folder, "commit", "--quiet", "--all", "--message", "promote")
        git(fleet.folder, "push", "--quiet", "origin", f"HEAD:{BRANCH}")
        return server.create("plant/sites", fleet.repository)

    def test_is_closed_with_the_reason(
        self, images: ModelImages, server: ForgeServer, repository: FakeRepository
    ) -> None:
        target = FleetRemote(GitRemote.parse(server.clone_url(repository.path)), "main")
        opened = open_forge("gitea", target.remote).propose(Proposal(BRANCH, "main", "promote", "body"))
        rollout = run(target, images)
        assert rollout.verdict is Verdict.ABORT
        assert repository.pull(opened.pull_request.number).state == "closed"
        assert f"Pull request {opened.pull_request.number} " in rollout.summary
        assert [each.decision.ring for each in rollout.proposed] == ["canary"]
        assert run(target, images).summary.count("was closed") == 0


def test_a_branch_that_would_bring_it_to_another_ring_is_named_where_there_is_no_forge(
    fleet: FleetClone, images: ModelImages
) -> None:
    fleet.release("canary", images.old, 40)
    fleet.release("canary", images.new, 31)
    assert "delete it" not in run(fleet.remote, images).summary
    git(fleet.folder, "push", "--quiet", "origin", f"HEAD:{BRANCH}")
    rollout = run(fleet.remote, images)
    assert rollout.summary.endswith(f"The branch {BRANCH} would bring it to the ring all: delete it.")


def test_what_is_waited_for_is_no_reason_to_stop(fleet: FleetClone, images: ModelImages) -> None:
    fleet.release("canary", images.old, 40)
    fleet.release("canary", images.new, 31)
    (judgement,) = run(fleet.remote, images).judgements
    assert [check.name for check in judgement.checks if not check.passed] == [
        "ill sites of ring canary",
        "sites of ring canary with the digest",
        "soak time of ring canary",
    ]
    assert judgement.reasons == [
        "Ill sites of ring canary: 1 of 1 with the digest (hall-1: its server takes no requests); required at most 0%."
    ]


def test_a_ring_that_cannot_be_taken_back_is_named_with_what_failed_and_the_others_are_taken_back(
    fleet: FleetClone, images: ModelImages
) -> None:
    fleet.release("all", images.new, 31)
    fleet.release("canary", f"sha256:{'9' * 64}", 40)
    fleet.release("canary", images.new, 31)
    with pytest.raises(KfpEdgeError) as caught:
        run(fleet.remote, images)
    message = str(caught.value)
    assert message.startswith("The rollout was stopped. Ill sites of ring canary: ")
    assert f"The ring canary is not taken back: {images.registry}/pump does not have sha256:999" in message
    branches = git(fleet.repository, "branch", "--list", "--format=%(refname:short)", "kfp-edge/*")
    assert branches == f"kfp-edge/pump/rollback-{images.new[7:19]}@all"

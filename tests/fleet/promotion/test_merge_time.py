"""Since when the sites of a ring could take a release: a review, however long, is no part of that time."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from kfp_edge.errors import KfpEdgeError
from kfp_edge.fleet.promotion.evidence import Requests, SiteEvidence
from kfp_edge.fleet.promotion.merge_time import MergeTimes
from kfp_edge.fleet.remote import FleetRemote
from kfp_edge.fleet.status.status import read_files
from kfp_edge.git.remote import GitRemote
from support.fake_forges import TOKEN, ForgeServer, forge_server
from support.fleet_history import FleetClone, create_fleet
from support.fleets import DIGESTS, site_with
from support.git_repositories import git, hook
from support.prometheus import NOW

OLD, NEW = DIGESTS[:2]
#: Images whose versions no registry tells are called by the beginning of their digests.
BRANCH = f"kfp-edge/pump/{NEW[7:19]}"


def hours(number: float) -> datetime:
    """Return the time so many hours before the present."""
    return NOW - timedelta(hours=number)


def find(target: FleetRemote, folder: Path, *, ring: str = "canary", ran: float = 0, now: datetime = NOW) -> timedelta:
    """Return for how long the sites of a ring could take its release; one of them ran it for some hours."""
    shown = SiteEvidence(None, timedelta(hours=ran), timedelta(), Requests())  # type: ignore[arg-type]
    with target.open() as repository:
        files = read_files(repository, target.branch)
        times = MergeTimes(target, repository, files, f"oci:{folder}/no-registry", now)
        return now - times.find(ring, "pump", [shown])


@pytest.fixture
def fleet(tmp_path: Path) -> FleetClone:
    return create_fleet(tmp_path, [site_with("hall-1"), site_with("hall-2", "all")])


class TestWithoutAForge:
    def test_a_merge_commit_has_the_date_of_the_merge(self, fleet: FleetClone, tmp_path: Path) -> None:
        fleet.merge_release("canary", NEW, 2, proposed=70)
        assert find(fleet.remote, tmp_path) == timedelta(hours=2)
        assert git(fleet.repository, "for-each-ref", "refs/notes") == ""

    def test_a_fast_forward_counts_from_when_a_promotion_first_found_it(
        self, fleet: FleetClone, tmp_path: Path
    ) -> None:
        commit = fleet.release("canary", NEW, 70)
        assert find(fleet.remote, tmp_path, now=hours(30)) == timedelta()
        assert find(fleet.remote, tmp_path) == timedelta(hours=30)
        notes = git(fleet.repository, "log", "--max-count=1", "--notes=kfp-edge", "--format=%N", commit)
        assert notes.strip() == "Found on the branch by kfp-edge fleet promote: 2026-11-19T06:00:00+00:00"

    def test_each_release_has_a_note_of_its_own(self, fleet: FleetClone, tmp_path: Path) -> None:
        fleet.release("canary", NEW, 70)
        find(fleet.remote, tmp_path, now=hours(30))
        fleet.release("canary", DIGESTS[2], 29)
        assert find(fleet.remote, tmp_path, now=hours(10)) == timedelta()
        assert find(fleet.remote, tmp_path) == timedelta(hours=10)

    def test_a_site_that_has_run_it_tells_that_it_was_merged_before(self, fleet: FleetClone, tmp_path: Path) -> None:
        fleet.release("canary", NEW, 70)
        assert find(fleet.remote, tmp_path, ran=40) == timedelta(hours=40)

    def test_a_note_without_a_time_is_an_error_that_says_how_to_remove_it(
        self, fleet: FleetClone, tmp_path: Path
    ) -> None:
        commit = fleet.release("canary", NEW, 70)
        git(fleet.repository, "notes", "--ref=kfp-edge", "add", "--message", "reviewed", commit)
        command = f"git notes --ref=kfp-edge remove {commit[:12]}"
        with pytest.raises(KfpEdgeError, match=f"'reviewed'; remove it with `{command}`"):
            find(fleet.remote, tmp_path)

    def test_a_server_that_takes_no_notes_is_an_error_with_its_words(self, fleet: FleetClone, tmp_path: Path) -> None:
        fleet.release("canary", NEW, 70)
        hook(fleet.repository, "pre-receive", "echo no notes here >&2; exit 1")
        with pytest.raises(KfpEdgeError, match="refuses the push to .*refs/notes/kfp-edge.*no notes here"):
            find(fleet.remote, tmp_path)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForgeServer]:
    with forge_server(tmp_path_factory.mktemp("forge"), "gitea") as server:
        yield server


class TestOnAForge:
    @pytest.fixture(autouse=True)
    def _access(self, server: ForgeServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("KFP_EDGE_GIT_TOKEN", TOKEN)
        monkeypatch.setenv("KFP_EDGE_GIT_CA_FILE", str(server.certificate))

    def start(self, fleet: FleetClone, server: ForgeServer, merged: dict[str, float]) -> FleetRemote:
        """Put a fleet on the forge, where pull requests of branches were merged so many hours ago."""
        text = (fleet.folder / "fleet.yaml").read_text()
        fleet.commit({"fleet.yaml": f"{text}pullRequests: {{forge: gitea}}\n"}, 0)
        repository = server.create(f"plant/sites-{len(server.repositories)}", fleet.repository)
        for branch, ago in merged.items():
            pull = repository.add(branch)
            pull.state, pull.merged_at = "merged", hours(ago).isoformat().replace("+00:00", "Z")
        return FleetRemote(GitRemote.parse(server.clone_url(repository.path)), "main")

    def test_the_time_of_the_merge_counts_and_not_that_of_the_proposal(
        self, fleet: FleetClone, server: ForgeServer, tmp_path: Path
    ) -> None:
        fleet.release("canary", NEW, 70)
        assert find(self.start(fleet, server, {BRANCH: 3}), tmp_path) == timedelta(hours=3)

    def test_a_promotion_and_a_rollback_have_branches_of_their_own(
        self, fleet: FleetClone, server: ForgeServer, tmp_path: Path
    ) -> None:
        fleet.release("all", NEW, 70)
        fleet.release("canary", NEW, 70)
        fleet.release("canary", OLD, 60)
        merged = {f"{BRANCH}@all": 5, BRANCH: 65, f"kfp-edge/pump/rollback-{NEW[7:19]}@canary": 4}
        target = self.start(fleet, server, merged)
        assert find(target, tmp_path, ring="all") == timedelta(hours=5)
        assert find(target, tmp_path) == timedelta(hours=4)

    def test_a_commit_that_is_younger_than_the_merge_counts_from_its_date(
        self, fleet: FleetClone, server: ForgeServer, tmp_path: Path
    ) -> None:
        fleet.release("canary", NEW, 2)
        assert find(self.start(fleet, server, {BRANCH: 3}), tmp_path) == timedelta(hours=2)

    def test_what_a_person_pushed_counts_as_without_a_forge(
        self, fleet: FleetClone, server: ForgeServer, tmp_path: Path
    ) -> None:
        fleet.release("canary", NEW, 70)
        target = self.start(fleet, server, {})
        assert find(target, tmp_path, now=hours(30)) == timedelta()
        assert find(target, tmp_path) == timedelta(hours=30)

"""`fleet rollback`: back to the image that a ring ran before, by the history of its file."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from kfp_edge.cli.app import app
from kfp_edge.errors import KfpEdgeError
from kfp_edge.fleet.documents import read_fleet
from kfp_edge.fleet.promotion.proposals import ProposedDecision
from kfp_edge.fleet.promotion.rollback import propose_rollback
from kfp_edge.fleet.releases.history import find_previous, read_current, read_releases
from kfp_edge.fleet.releases.ring_images import set_ring_image
from kfp_edge.fleet.remote import FleetRemote
from kfp_edge.fleet.rendering.render import render_site
from kfp_edge.fleet.status.status import read_files
from kfp_edge.forges import Outcome
from kfp_edge.git.remote import GitRemote
from kfp_edge.gitops.tree import Checkout
from kfp_edge.images.oci.references import ImageRepository
from kfp_edge.images.registry import copy_image
from support.fake_forges import TOKEN, FakeRepository, ForgeServer, forge_server
from support.fleet_history import FleetClone, create_fleet
from support.fleets import site_with
from support.git_repositories import git, merge
from support.model_images import ModelImages, write_model_images
from support.prometheus import NOW
from support.registry import RegistryServer, registry_server

_numbers = itertools.count(1)
RING = "rings/canary/pump/kustomization.yaml"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ModelImages:
    """A registry with three versions of a model, and their digests."""
    return write_model_images(tmp_path_factory.mktemp("images"), "1.0.0", "1.1.0", "1.2.0")


@pytest.fixture
def fleet(tmp_path: Path, images: ModelImages) -> FleetClone:
    made = create_fleet(tmp_path, [site_with("hall-1"), site_with("hall-2", "all")])
    for number, digest in enumerate(images[1]):
        made.release("canary", digest, 100 - number)
    return made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForgeServer]:
    with forge_server(tmp_path_factory.mktemp("forge"), "gitea") as server:
        yield server


def roll_back(target: FleetRemote, images: ModelImages, **options: Any) -> ProposedDecision:
    with target.open() as clone:
        files = read_files(clone, "main")
        return propose_rollback(target, clone, files, "canary", "pump", NOW, **{"registry": images[0], **options})


def previous(fleet: FleetClone) -> str:
    """Return what a rollback would go back to."""
    with fleet.remote.open() as clone:
        found = find_previous(read_releases(clone, clone.head("main") or "", "canary", "pump"))
    return found.image.digest if found else ""


class TestTheImageBefore:
    def test_is_the_one_that_the_ring_ran_and_not_the_one_with_the_next_lower_name(
        self, fleet: FleetClone, images: ModelImages
    ) -> None:
        old, newer, newest = images[1]
        assert previous(fleet) == newer
        fleet.release("canary", old, 50)  # an older version on purpose
        fleet.release("canary", newest, 40)
        assert previous(fleet) == old
        fleet.release("canary", f"sha256:{'7' * 64}", 30)
        assert previous(fleet) == newest

    def test_is_not_one_that_the_ring_was_taken_back_from(self, fleet: FleetClone, images: ModelImages) -> None:
        old, newer, _ = images[1]
        fleet.release("canary", newer, 50)
        assert previous(fleet) == old

    def test_after_a_release_once_more_is_that_before_it(self, fleet: FleetClone, images: ModelImages) -> None:
        _, newer, newest = images[1]
        fleet.release("canary", newer, 50)
        fleet.release("canary", newest, 40)
        assert previous(fleet) == newer

    def test_counts_merges_and_not_the_commits_in_them(self, fleet: FleetClone, images: ModelImages) -> None:
        git(fleet.folder, "checkout", "--quiet", "-b", "work")
        path = fleet.folder / RING
        for digest in ("8" * 64, "9" * 64):
            path.write_text(path.read_text().replace(images[1][2], f"sha256:{digest}").replace("8" * 64, digest))
            git(fleet.folder, "commit", "--quiet", "--all", "--message", digest[:4])
        git(fleet.folder, "push", "--quiet", "origin", "work")
        merge(fleet.repository, "work")
        assert previous(fleet) == images[1][2]
        with fleet.remote.open() as clone:
            current, _ = read_current(clone, clone.head("main") or "", "canary", "pump")
        assert current is not None
        assert (current.image.digest, current.commit) == (f"sha256:{'9' * 64}", fleet.head())

    def test_a_version_of_the_file_that_nobody_can_read_counts_for_nothing(
        self, fleet: FleetClone, images: ModelImages
    ) -> None:
        break_and_repair(fleet, "images: [\n")
        assert previous(fleet) == images[1][1]

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("images: [\n", "is not valid YAML"),
            ("images:\n  - name: pump\n    newName: quay.io/team/pump\n    newTag: 1.1.0\n", "has no digest"),
        ],
    )
    def test_such_a_version_is_named_in_the_rollback_that_passes_over_it(
        self, fleet: FleetClone, images: ModelImages, text: str, reason: str
    ) -> None:
        commit = break_and_repair(fleet, text)
        (warning,) = roll_back(fleet.remote, images).warnings
        start = f"The commit {commit[:12]} is left out of the history of the ring: {RING}"
        assert re.match(rf"{start}\b.* {reason}", warning)

    def test_such_a_version_that_is_older_than_what_it_goes_back_to_is_not_named(
        self, images: ModelImages, tmp_path: Path
    ) -> None:
        fleet = create_fleet(tmp_path, [site_with("hall-1")])
        break_and_repair(fleet, "images: [\n")
        for digest in images.digests:
            fleet.release("canary", digest, 20)
        assert roll_back(fleet.remote, images).warnings == ()


def break_and_repair(fleet: FleetClone, text: str) -> str:
    """Give the file of the ring another text, and its own again; return the commit of the other text."""
    own = (fleet.folder / RING).read_text()
    broken = fleet.commit({RING: text}, 50)
    fleet.commit({RING: own}, 40)
    return broken


class TestARollback:
    def test_is_a_commit_that_changes_the_digest_alone(self, fleet: FleetClone, images: ModelImages) -> None:
        proposed = roll_back(fleet.remote, images)
        branch = f"kfp-edge/pump/rollback-{images[1][2][7:19]}@canary"
        assert proposed.change.branch == branch
        lines = git(fleet.repository, "diff", "--unified=0", "main", branch, "--", RING).splitlines()[5:]
        assert lines == [f'-    digest: "{images[1][2]}"', f'+    digest: "{images[1][1]}"']
        subject, _, body = git(fleet.repository, "log", "-1", "--format=%B", branch).partition("\n")
        assert subject == f"revert(canary): pump back to 1.1.0 at {images[1][1][7:19]}"
        assert f"Image: quay.io/team/pump@{images[1][1]}" in body

    def test_may_go_back_further(self, fleet: FleetClone, images: ModelImages) -> None:
        proposed = roll_back(fleet.remote, images, digest=images[1][0][7:15])
        assert proposed.decision.after.digest == images[1][0]

    def test_of_a_ring_that_had_nothing_before_says_so(self, fleet: FleetClone, images: ModelImages) -> None:
        with fleet.remote.open() as clone, pytest.raises(KfpEdgeError, match="the ring all had no other image of pump"):
            propose_rollback(fleet.remote, clone, read_files(clone, "main"), "all", "pump", NOW, registry=images[0])

    def test_to_an_image_that_the_ring_never_had_is_refused(self, fleet: FleetClone, images: ModelImages) -> None:
        with pytest.raises(KfpEdgeError, match=f"none of the images .* it had {images[1][2][7:19]}, "):
            roll_back(fleet.remote, images, digest="sha256:ffff")

    def test_to_an_image_that_the_registry_deleted_is_refused(
        self, fleet: FleetClone, images: ModelImages, tmp_path: Path
    ) -> None:
        with pytest.raises(KfpEdgeError, match="does not have sha256:.* so that no site could pull it"):
            roll_back(fleet.remote, images, registry=f"oci:{tmp_path}/empty")
        assert git(fleet.repository, "branch", "--list", "kfp-edge/*") == ""

    def test_reaches_the_site(self, fleet: FleetClone, images: ModelImages) -> None:
        merge(fleet.repository, roll_back(fleet.remote, images).change.branch)
        git(fleet.folder, "pull", "--quiet", "origin", "main")
        assert f"quay.io/team/pump@{images[1][1]}" in render_site(fleet.folder, "hall-1")

    @pytest.mark.parametrize("name", ["quay.io/team/pump", "quay.io/.*/pump"])
    def test_warns_of_a_site_that_it_does_not_reach(self, fleet: FleetClone, images: ModelImages, name: str) -> None:
        path = "sites/hall-1/kustomization.yaml"
        pinned = f"images:\n  - name: {name}\n    digest: {images[1][2]}\n"
        fleet.commit({path: (fleet.folder / path).read_text() + pinned}, 5)
        proposed = roll_back(fleet.remote, images)
        (warning,) = proposed.warnings
        assert warning.startswith(f"hall-1 sets the digest of {name} in {path}, so that this change does not reach it")
        assert warning in proposed.body
        # what the real kustomize makes of it
        merge(fleet.repository, proposed.change.branch)
        git(fleet.folder, "pull", "--quiet", "origin", "main")
        assert f"image: quay.io/team/pump@{images[1][2]}" in render_site(fleet.folder, "hall-1")

    def test_is_not_stopped_by_the_file_of_a_site_that_a_person_broke(
        self, fleet: FleetClone, images: ModelImages
    ) -> None:
        fleet.commit({"sites/hall-2/site.yaml": "name: [\n"}, 5)
        proposed = roll_back(fleet.remote, images)
        assert proposed.decision.after.digest == images[1][1]
        (warning,) = proposed.warnings
        assert warning.startswith("sites/hall-2/site.yaml, line 2: is not valid YAML")

    def test_a_digest_under_the_name_of_the_model_has_no_effect_and_is_no_warning(
        self, fleet: FleetClone, images: ModelImages
    ) -> None:
        path = "sites/hall-1/kustomization.yaml"
        without_effect = f"images:\n  - name: pump\n    digest: {images[1][2]}\n"
        fleet.commit({path: (fleet.folder / path).read_text() + without_effect}, 5)
        proposed = roll_back(fleet.remote, images)
        assert proposed.warnings == ()
        merge(fleet.repository, proposed.change.branch)
        git(fleet.folder, "pull", "--quiet", "origin", "main")
        assert f"image: quay.io/team/pump@{images[1][1]}" in render_site(fleet.folder, "hall-1")

    def test_the_command_prints_branch_and_text(self, fleet: FleetClone, images: ModelImages) -> None:
        arguments = [
            "--ring",
            "canary",
            "-C",
            str(fleet.folder),
            "--registry",
            images[0],
            "--reason",
            "It is too warm.",
        ]
        result = CliRunner().invoke(app, ["fleet", "rollback", "pump", *arguments])
        assert result.exit_code == 0, result.output
        assert f"branch kfp-edge/pump/rollback-{images[1][2][7:19]}@canary, commit " in result.output
        assert "\nIt is too warm.\n" in result.output


class TestTheRegistriesOfSites:
    """All sites of a ring have a registry of their own, and the one of the releases has lost the image."""

    @pytest.fixture
    def registry(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RegistryServer]:
        with registry_server(tmp_path / "registry") as server:
            for name, value in server.env.items():
                monkeypatch.setenv(name, value)
            yield server

    @pytest.fixture
    def mirrored(self, registry: RegistryServer, images: ModelImages, tmp_path: Path) -> FleetClone:
        sites = [site_with(f"hall-{number}", registry=f"{registry.host}/hall-{number}") for number in (1, 2)]
        fleet = create_fleet(tmp_path / "fleet", sites)
        for digest in images[1][:2]:
            tree = Checkout(fleet.folder)
            name = f"{registry.host}/edge/pump"
            fleet.commit(set_ring_image(tree, read_fleet(tree), "canary", "pump", name, digest), 10)
        return fleet

    def push(self, registry: RegistryServer, images: ModelImages, *halls: str) -> None:
        source = ImageRepository.parse(f"{images[0]}/pump").image(images[1][0])
        for hall in halls:
            copy_image(source, ImageRepository.parse(f"docker://{registry.host}/{hall}/edge/pump"), "1.0.0")

    def test_that_all_have_it_let_the_ring_go_back_with_a_warning(
        self, mirrored: FleetClone, registry: RegistryServer, images: ModelImages
    ) -> None:
        self.push(registry, images, "hall-1", "hall-2")
        proposed = roll_back(mirrored.remote, images, registry="")
        assert proposed.decision.after.digest == images[1][0]
        assert proposed.decision.version == "1.0.0"
        (warning,) = proposed.warnings
        assert warning.endswith("The registries of all sites of the ring still have it.")
        assert warning in proposed.body

    def test_one_of_which_lacks_it_keep_the_ring_from_going_back(
        self, mirrored: FleetClone, registry: RegistryServer, images: ModelImages
    ) -> None:
        self.push(registry, images, "hall-1")
        with pytest.raises(
            KfpEdgeError, match="/edge/pump does not have .* of its sites, .*/hall-2/edge/pump lacks it"
        ):
            roll_back(mirrored.remote, images, registry="")
        assert git(mirrored.repository, "branch", "--list", "kfp-edge/*") == ""


class TestAPullRequest:
    @pytest.fixture
    def repository(self, fleet: FleetClone, server: ForgeServer, monkeypatch: pytest.MonkeyPatch) -> FakeRepository:
        """The fleet's repository on a forge, where the pull requests of the first ring have a label."""
        monkeypatch.setenv("KFP_EDGE_GIT_TOKEN", TOKEN)
        monkeypatch.setenv("KFP_EDGE_GIT_CA_FILE", str(server.certificate))
        text = (fleet.folder / "fleet.yaml").read_text()
        fleet.commit({"fleet.yaml": f"{text}pullRequests: {{forge: gitea, labels: [release]}}\n"}, 1)
        return server.create(f"plant/sites-{next(_numbers)}", fleet.repository)

    def target(self, server: ForgeServer, repository: FakeRepository) -> FleetRemote:
        return FleetRemote(GitRemote.parse(server.clone_url(repository.path)), "main")

    def test_is_opened_with_labels_and_text_and_not_twice(
        self, images: ModelImages, server: ForgeServer, repository: FakeRepository
    ) -> None:
        target = self.target(server, repository)
        proposed = roll_back(target, images).proposed
        assert proposed is not None
        assert proposed.outcome is Outcome.CREATED
        assert proposed.pull_request.labels == ("release",)
        assert "## Roll back" in proposed.pull_request.body
        again = roll_back(target, images).proposed
        assert again is not None
        assert (again.outcome, again.pull_request.number) == (Outcome.UNCHANGED, proposed.pull_request.number)

    def test_that_a_person_closed_is_not_opened_again(
        self, images: ModelImages, server: ForgeServer, repository: FakeRepository
    ) -> None:
        target = self.target(server, repository)
        first = roll_back(target, images).proposed
        assert first is not None
        repository.pull(first.pull_request.number).state = "closed"
        again = roll_back(target, images).proposed
        assert again is not None
        assert again.outcome is Outcome.CLOSED

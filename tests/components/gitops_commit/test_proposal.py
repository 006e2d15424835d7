"""The pull request of a release: what its reviewer approves, and that there is one of it."""

import itertools
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kfp_edge.components.gitops_commit.gitops_commit import Destination
from kfp_edge.components.gitops_commit.proposal import ProposedRelease, check_pull_requests
from kfp_edge.components.gitops_commit.run import Inputs, run
from kfp_edge.errors import KfpEdgeError
from kfp_edge.fleet.check.check import check_repository
from kfp_edge.forges import Outcome
from kfp_edge.git.remote import GitRemote
from kfp_edge.images.oci.labels import MODEL_LABEL
from kfp_edge.images.oci.references import ImageRepository
from kfp_edge.images.registry import copy_image
from kfp_edge.reports.check import Check, write_checks
from support.bundles import tiny_bundle
from support.fake_forges import TOKEN, FakeRepository, Fault, ForgeServer, Token, forge_server
from support.fleets import site_with, write_fleet
from support.git_repositories import bare, git, merge, push_from_another_clone
from support.images import layered_image

_numbers = itertools.count(1)
RING = "rings/canary/pump/kustomization.yaml"
SERVER_LAYER = b"server" * 1000
VERIFIED = write_checks([Check("roc_auc", True, "0.9 (interval)", "at least 0.5")])
TESTED = write_checks([Check("latency of one row", True, "p99 2.00 ms", "p99 at most 50 ms")])


@dataclass(frozen=True)
class Released:
    """Two versions of a model, as a pipeline has made them."""

    folder: Path
    inputs: dict[str, Inputs]

    def image(self, version: str) -> str:
        return self.inputs[version].image.rpartition("@")[2]


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Released:
    folder = tmp_path_factory.mktemp("released")
    inputs = {}
    for version, metrics in (("1.0.0", {"roc_auc": 0.9, "recall": 0.8}), ("1.1.0", {"roc_auc": 0.93, "recall": 0.7})):
        bundle = tiny_bundle(folder / f"bundle-{version}", "pump", metrics=metrics)
        labels = {"org.opencontainers.image.version": version, MODEL_LABEL: version[2] * 64}
        image = layered_image(folder / version, [SERVER_LAYER, version.encode() * 50], labels)
        copied = copy_image(image, ImageRepository.parse(f"oci:{folder}/registry/pump"), version)
        inputs[version] = Inputs(str(copied), bundle.folder, VERIFIED, TESTED)
    return Released(folder, inputs)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForgeServer]:
    with forge_server(tmp_path_factory.mktemp("forge"), "gitea") as server:
        yield server


def propose(
    repository: str, released: Released, report: Path, version: str = "1.0.0", **options: Any
) -> ProposedRelease:
    inputs = options.pop("inputs", released.inputs[version])
    target, settings = options.pop("target", {}), options.pop("pull_requests", {})
    return run("pump", version, inputs, repository, "main", options.pop("ring", ""), target, settings, report)


class TestTheText:
    @pytest.fixture
    def body(self, released: Released, tmp_path: Path) -> str:
        """What is proposed to a ring that runs another version."""
        folder = bare(tmp_path / "gitops.git")
        first = propose(str(folder), released, tmp_path / "change.md")
        merge(folder, first.change.branch)
        body = propose(str(folder), released, tmp_path / "change.md", "1.1.0").body
        assert body.rstrip() in (tmp_path / "change.md").read_text()
        return body

    def test_names_the_hashes_of_model_and_data(self, body: str) -> None:
        assert f"| model (sha256) | {'0' * 64} | {'1' * 64} |" in body
        assert f"| data (sha256) | {'0' * 64} | {'0' * 64} |" in body

    def test_has_the_metrics_beside_those_of_the_version_in_the_ring(self, body: str) -> None:
        assert "| roc_auc | 0.9 | 0.93 | better (higher is better) |" in body
        assert "| recall | 0.8 | 0.7 | **worse** (higher is better) |" in body

    def test_has_each_check_of_verification_and_staging_test(self, body: str) -> None:
        assert "| verification: roc_auc | yes | 0.9 (interval) | at least 0.5 |" in body
        assert "| staging: latency of one row | yes | p99 2.00 ms | p99 at most 50 ms |" in body

    def test_begins_with_the_image_and_ends_with_the_way_back(self, body: str) -> None:
        headings = [line for line in body.splitlines() if line.startswith("## ")]
        assert headings == ["## Image", "## Sites", "## Metrics", "## Checks", "## Manifests of site-1", "## Roll back"]

    def test_has_the_size_and_what_a_site_downloads(self, body: str) -> None:
        rows = {line.split(" | ")[0]: line for line in body.splitlines() if line.startswith("| ")}
        size, download = (
            int(rows[name].rpartition("(")[2].partition(" ")[0].replace(",", ""))
            for name in ("| size", "| a site downloads")
        )
        assert 0 < download < size

    def test_shows_what_changes_at_a_site(self, body: str, released: Released) -> None:
        assert "## Manifests of site-1" in body
        assert f"-        image: localhost/pump@{released.image('1.0.0')}" in body
        assert f"+        image: localhost/pump@{released.image('1.1.0')}" in body

    def test_says_how_to_go_back(self, body: str, released: Released) -> None:
        assert "`kfp-edge fleet rollback pump --ring canary` opens the pull request back to " in body
        assert released.image("1.0.0")[7:19] in body

    def test_of_a_first_version_has_all_objects_and_nothing_to_go_back_to(
        self, released: Released, tmp_path: Path
    ) -> None:
        body = propose(str(bare(tmp_path / "gitops.git")), released, tmp_path / "change.md").body
        assert "+kind: Deployment" in body
        assert "| roc_auc | none | 0.9 | higher is better |" in body
        assert f"| data (sha256) | none | {'0' * 64} |" in body
        assert "`git revert` of this merge takes the model off its sites." in body

    def test_without_kustomize_shows_the_files_and_says_why(
        self, released: Released, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        find = shutil.which
        hidden = ("kustomize", "kubectl")
        monkeypatch.setattr(shutil, "which", lambda name, **other: None if name in hidden else find(name, **other))
        folder = bare(tmp_path / "gitops.git")
        merge(folder, propose(str(folder), released, tmp_path / "change.md").change.branch)
        body = propose(str(folder), released, tmp_path / "change.md", "1.1.0").body
        assert "The objects of site-1 are not shown: neither kustomize nor kubectl is installed" in body
        assert f'+    digest: "{released.image("1.1.0")}"' in body

    def test_the_commit_has_checks_and_the_hash_of_the_data(self, released: Released, tmp_path: Path) -> None:
        folder = bare(tmp_path / "gitops.git")
        change = propose(str(folder), released, tmp_path / "change.md").change
        message = git(folder, "log", "-1", "--format=%B", change.branch)
        assert "Verification, 1 check passed:\n\n- roc_auc: measured 0.9 (interval), required at least 0.5" in message
        assert "Staging test, 1 check passed:\n\n- latency of one row: measured p99 2.00 ms" in message
        assert message.splitlines()[-1] == f"Data-SHA256: {'0' * 64}"

    def test_warns_of_the_file_of_a_site_that_a_person_broke_and_goes_on(
        self, released: Released, tmp_path: Path
    ) -> None:
        folder = bare(tmp_path / "gitops.git")
        merge(folder, propose(str(folder), released, tmp_path / "change.md").change.branch)
        push_from_another_clone(folder, "main", {"sites/hall-9/site.yaml": "ring: canary\nname: [\n"})
        result = propose(str(folder), released, tmp_path / "change.md", "1.1.0")
        (warning,) = result.warnings
        assert warning.startswith("sites/hall-9/site.yaml, line 3: is not valid YAML")
        assert "1 site changes: `site-1`." in result.body

    def test_says_that_nothing_is_known_of_the_tests_where_it_is_so(self, released: Released, tmp_path: Path) -> None:
        inputs = Inputs(released.inputs["1.0.0"].image, released.inputs["1.0.0"].bundle)
        folder = bare(tmp_path / "gitops.git")
        body = propose(str(folder), released, tmp_path / "change.md", inputs=inputs).body
        assert body.startswith("pump 1.0.0 is proposed to the ring canary; nothing is known of its checks.")


class TestAnImageThatIsNotThere:
    def test_is_refused_before_anything_is_committed(self, released: Released, tmp_path: Path) -> None:
        folder = bare(tmp_path / "gitops.git")
        image = f"oci:{released.folder}/registry/pump@sha256:{'d' * 64}"
        inputs = Inputs(image, released.inputs["1.0.0"].bundle)
        with pytest.raises(KfpEdgeError, match="does not have sha256:ddd.*, so that no site could pull it"):
            propose(str(folder), released, tmp_path / "change.md", inputs=inputs)
        assert git(folder, "branch", "--list") == ""

    def test_in_a_registry_that_cannot_be_asked_is_a_warning(self, released: Released, tmp_path: Path) -> None:
        image = f"docker://127.0.0.1:1/team/pump@sha256:{'d' * 64}"
        inputs = Inputs(image, released.inputs["1.0.0"].bundle)
        result = propose(str(bare(tmp_path / "gitops.git")), released, tmp_path / "change.md", inputs=inputs)
        (warning,) = result.warnings
        assert warning.startswith("size and labels of the image are not known: ")
        assert f"> **Warning:** {warning}" in result.body
        assert 'newName: "127.0.0.1:1/team/pump"' in result.change.diff


class TestThePullRequest:
    @pytest.fixture
    def forge(self, server: ForgeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeRepository:
        """The repository of a fleet that names its forge."""
        monkeypatch.setenv("KFP_EDGE_GIT_TOKEN", TOKEN)
        monkeypatch.setenv("KFP_EDGE_GIT_CA_FILE", str(server.certificate))
        folder, clone = bare(tmp_path / "fleet.git"), tmp_path / "clone"
        git(tmp_path, "clone", "--quiet", str(folder), str(clone))
        write_fleet(clone, [site_with("hall-1", models=[])], models=())
        text = (clone / "fleet.yaml").read_text()
        (clone / "fleet.yaml").write_text(f"{text}pullRequests: {{forge: gitea, labels: [release]}}\n")
        git(clone, "add", "--all")
        git(clone, "commit", "--quiet", "--message", "a fleet")
        git(clone, "push", "--quiet", "origin", "main")
        return server.create(f"plant/sites-{next(_numbers)}", folder)

    def url(self, server: ForgeServer, forge: FakeRepository) -> str:
        return server.clone_url(forge.path)

    def test_is_opened_as_fleet_yaml_says(
        self, released: Released, server: ForgeServer, forge: FakeRepository, tmp_path: Path
    ) -> None:
        result = propose(self.url(server, forge), released, tmp_path / "change.md")
        assert result.proposed is not None
        (pull,) = forge.pulls
        assert (pull.head, pull.base, pull.labels) == ("kfp-edge/pump/1.0.0", "main", ["release"])
        assert pull.title == f"feat(canary): pump 1.0.0 at {released.image('1.0.0')[7:19]}"
        assert "## Sites\n\n1 site changes: `hall-1`." in pull.body
        assert (
            f"- Pull request: opened pull request 1 ({result.proposed.pull_request.url})"
            in (tmp_path / "change.md").read_text()
        )

    def test_of_the_same_release_again_is_the_same(
        self, released: Released, server: ForgeServer, forge: FakeRepository, tmp_path: Path
    ) -> None:
        for outcome in (Outcome.CREATED, Outcome.UNCHANGED):
            result = propose(self.url(server, forge), released, tmp_path / "change.md")
            assert result.proposed is not None
            assert result.proposed.outcome is outcome
        assert len(forge.pulls) == 1

    def test_that_a_person_closed_stays_closed_and_the_report_says_so(
        self, released: Released, server: ForgeServer, forge: FakeRepository, tmp_path: Path
    ) -> None:
        propose(self.url(server, forge), released, tmp_path / "change.md")
        forge.pull(1).state = "closed"
        propose(self.url(server, forge), released, tmp_path / "change.md")
        assert [pull.state for pull in forge.pulls] == ["closed"]
        assert "was closed by a person without being merged" in (tmp_path / "change.md").read_text()

    def test_that_a_forge_out_of_order_did_not_open_is_opened_by_the_next_run(
        self, released: Released, server: ForgeServer, forge: FakeRepository, tmp_path: Path
    ) -> None:
        forge.faults.append(Fault("POST", "/pulls$", 403, {"message": "token has no scope"}))
        with pytest.raises(KfpEdgeError):
            propose(self.url(server, forge), released, tmp_path / "change.md")
        commit = forge.commit_of("kfp-edge/pump/1.0.0")
        result = propose(self.url(server, forge), released, tmp_path / "change.md")
        assert (result.change.commit, result.change.committed) == (commit, False)
        assert [pull.head_commit for pull in forge.pulls] == [commit]

    def test_after_the_merge_there_is_none(
        self, released: Released, server: ForgeServer, forge: FakeRepository, tmp_path: Path
    ) -> None:
        propose(self.url(server, forge), released, tmp_path / "change.md")
        forge.merge(forge.pull(1))
        result = propose(self.url(server, forge), released, tmp_path / "change.md")
        assert (result.proposed, result.change.branch, len(forge.pulls)) == (None, "main", 1)

    def test_after_a_squash_merge_there_is_none(
        self, released: Released, server: ForgeServer, forge: FakeRepository, tmp_path: Path
    ) -> None:
        propose(self.url(server, forge), released, tmp_path / "change.md")
        forge.merge(forge.pull(1), "squash")
        result = propose(self.url(server, forge), released, tmp_path / "change.md")
        assert (result.proposed, result.change.branch, len(forge.pulls)) == (None, "main", 1)

    def test_after_a_squash_merge_that_kept_the_title_alone_the_next_one_still_has_the_metrics(
        self, released: Released, server: ForgeServer, forge: FakeRepository, tmp_path: Path
    ) -> None:
        propose(self.url(server, forge), released, tmp_path / "change.md")
        forge.merge(forge.pull(1), "squash")
        body = propose(self.url(server, forge), released, tmp_path / "change.md", "1.1.0").body
        assert "| recall | 0.8 | 0.7 | **worse** (higher is better) |" in body
        assert f"| data (sha256) | {'0' * 64} | {'0' * 64} |" in body

    def test_of_a_new_fleet_is_opened_as_the_parameter_says_and_so_is_each_later_one(
        self, released: Released, server: ForgeServer, forge: FakeRepository, tmp_path: Path
    ) -> None:
        empty = server.create(f"plant/new-{next(_numbers)}", bare(tmp_path / "empty.git"))
        settings = {"forge": "gitea", "labels": ["release"], "reviewers": ["ada"]}
        propose(self.url(server, empty), released, tmp_path / "change.md", pull_requests=settings)
        (pull,) = empty.pulls
        assert (pull.labels, pull.reviewers) == (["release"], ["ada"])
        empty.merge(pull)
        propose(self.url(server, empty), released, tmp_path / "change.md", "1.1.0")
        assert empty.pulls[1].labels == ["release"]
        git(tmp_path, "clone", "--quiet", str(empty.folder), str(tmp_path / "checkout"))
        assert not [each for each in check_repository(tmp_path / "checkout") if each.severity == "error"]

    def test_of_a_repository_of_another_layout_is_opened_as_the_parameter_says(
        self, released: Released, server: ForgeServer, forge: FakeRepository, tmp_path: Path
    ) -> None:
        result = propose(
            self.url(server, forge),
            released,
            tmp_path / "change.md",
            target={"file": "fleet.yaml", "yaml_path": "name"},
            pull_requests={"forge": "gitea"},
        )
        assert result.proposed is not None
        (pull,) = forge.pulls
        assert pull.labels == []
        assert "## Files" in pull.body
        assert "## Sites" not in pull.body

    def test_by_a_token_without_the_scope_is_found_without_a_change(
        self, server: ForgeServer, forge: FakeRepository, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        destination = Destination(GitRemote.parse(self.url(server, forge)), "main")
        check_pull_requests(destination)
        server.tokens["t0ken-that-reads"] = Token(frozenset({"read"}))
        monkeypatch.setenv("KFP_EDGE_FORGE_TOKEN", "t0ken-that-reads")
        with pytest.raises(KfpEdgeError, match="scope") as refused:
            check_pull_requests(destination)
        assert "t0ken" not in str(refused.value)
        assert forge.pulls == []

    def test_of_a_copy_of_the_repository_in_a_folder_is_none(
        self, released: Released, forge: FakeRepository, tmp_path: Path
    ) -> None:
        check_pull_requests(Destination(GitRemote.parse(str(forge.folder)), "main"))
        result = propose(str(forge.folder), released, tmp_path / "change.md")
        assert (result.proposed, result.change.branch) == (None, "kfp-edge/pump/1.0.0")

    def test_needs_settings_that_are_valid(self, released: Released, tmp_path: Path) -> None:
        folder = bare(tmp_path / "gitops.git")
        settings = {"forge": "gitea", "reviewer": ["ada"]}
        with pytest.raises(KfpEdgeError, match="pull_requests: has the key reviewer, .* did you mean reviewers"):
            propose(str(folder), released, tmp_path / "change.md", pull_requests=settings)
        assert git(folder, "branch", "--list") == ""


def test_the_component_takes_the_checks_from_the_metadata_of_its_inputs(released: Released, tmp_path: Path) -> None:
    from kfp.dsl import Artifact, Markdown

    from kfp_edge.components.gitops_commit.component import gitops_commit

    inputs, folder = released.inputs["1.0.0"], bare(tmp_path / "gitops.git")
    bundle = Artifact(uri=str(inputs.bundle), metadata={"checks": VERIFIED})
    report = Markdown(uri=str(tmp_path / "staging.md"), metadata={"checks": TESTED})
    change = Markdown(uri=str(tmp_path / "change.md"))
    gitops_commit.python_func(inputs.image, bundle, "pump", "1.0.0", str(folder), change, staging_report=report)
    assert "it passed 2 checks." in (tmp_path / "change.md").read_text()
    assert json.loads(VERIFIED)[0]["name"] == "roc_auc"

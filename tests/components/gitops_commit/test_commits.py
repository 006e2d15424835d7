"""What `gitops_commit` commits of a release, to a new repository and to one of its own."""

from pathlib import Path

import pytest

from kfp_edge.components.gitops_commit.report import render_report
from kfp_edge.fleet.check.check import check_repository
from kfp_edge.gitops.changes import Change
from support import schemas
from support.git_repositories import bare, git, push_from_another_clone
from support.release_commits import (
    DIGESTS,
    REVIEW,
    RING,
    changed_lines,
    checkout,
    commit,
    files,
    release,
    released,
    rendered,
)


class TestAnEmptyRepository:
    def test_its_base_branch_gets_a_fleet_and_the_review_branch_the_model(self, folder: Path) -> None:
        change = commit(folder)
        assert files(folder, "main") == [
            "README.md",
            "argocd/hub/applicationset.yaml",
            "argocd/hub/kustomization.yaml",
            "argocd/project/appproject.yaml",
            "argocd/project/kustomization.yaml",
            "argocd/project/sites.yaml",
            "fleet.yaml",
            "sites/site-1/kustomization.yaml",
            "sites/site-1/site.yaml",
        ]
        assert sorted(set(files(folder, REVIEW)) - set(files(folder, "main"))) == [
            "models/pump/base/deployment.yaml",
            "models/pump/base/kustomization.yaml",
            "models/pump/base/networkpolicy.yaml",
            "models/pump/base/poddisruptionbudget.yaml",
            "models/pump/base/service.yaml",
            RING,
        ]
        assert change.committed
        assert (change.repository, change.branch) == (str(folder), REVIEW)
        assert git(folder, "log", "--format=%H", f"main..{REVIEW}") == change.commit

    def test_its_site_gets_the_model_with_the_review_branch(self, folder: Path) -> None:
        assert commit(folder).warnings == ()
        assert changed_lines(folder, REVIEW)[-6:] == [
            "-resources: []",
            "+resources:",
            "+  - ../../rings/canary/pump",
            "-models: []",
            "+models:",
            '+  - "pump"',
        ]

    def test_the_fleet_passes_its_check_before_and_after_the_merge(self, folder: Path, tmp_path: Path) -> None:
        change = commit(folder)
        for commit_hash in ("main", change.commit):
            assert check_repository(checkout(folder, commit_hash, tmp_path)) == []

    def test_a_ring_that_is_named_is_the_ring_of_the_new_fleet(self, folder: Path) -> None:
        commit(folder, ring="pilot")
        assert "rings/pilot/pump/kustomization.yaml" in files(folder, REVIEW)

    def test_the_commit_message_has_model_version_image_and_ring(self, folder: Path) -> None:
        commit(folder)
        assert git(folder, "log", "-1", "--format=%B", REVIEW) == (
            f"feat(canary): pump 1.0.0 at aaaaaaaaaaaa\n\nImage: quay.io/team/pump@{DIGESTS[0]}\nModel-Version: 1.0.0"
        )

    # Each of these words means something else to YAML unless it is quoted.
    @pytest.mark.parametrize(("model", "ring"), [("pump", "canary"), ("no", "007")])
    def test_kustomize_renders_valid_objects_with_the_image_by_digest(
        self, folder: Path, tmp_path: Path, model: str, ring: str
    ) -> None:
        change = commit(folder, release(model=model), ring)
        objects = rendered(folder, change.commit, "sites/site-1", tmp_path)
        assert sorted(objects) == ["Deployment", "NetworkPolicy", "PodDisruptionBudget", "Service"]
        for each in objects.values():
            schemas.check(each)
            assert each["metadata"]["name"] == model
            assert each["metadata"]["namespace"] == "edge-models"
            assert each["metadata"]["labels"]["kfp-edge.io/site"] == "site-1"
            assert each["metadata"]["labels"]["kfp-edge.io/ring"] == ring
        (container,) = objects["Deployment"]["spec"]["template"]["spec"]["containers"]
        assert container["image"] == f"quay.io/team/{model}@{DIGESTS[0]}"

    def test_two_runs_in_two_repositories_write_the_same_files(self, folder: Path, tmp_path: Path) -> None:
        trees = set()
        for name in ("one.git", "two.git"):
            other = bare(tmp_path / name)
            commit(other)
            trees.add(git(other, "rev-parse", f"{REVIEW}:sites") + git(other, "rev-parse", f"{REVIEW}:models"))
        assert len(trees) == 1


class TestTheNextRelease:
    def test_it_changes_the_digest_and_nothing_else(self, folder: Path) -> None:
        released(folder)
        change = commit(folder, release("2.0.0", DIGESTS[1]))
        assert files(folder, change.commit) == files(folder, "main")
        assert changed_lines(folder, change.commit) == [
            f'-    digest: "{DIGESTS[0]}"',
            f'+    digest: "{DIGESTS[1]}"',
        ]

    def test_edits_of_people_stay(self, folder: Path) -> None:
        released(folder)
        overlay = git(folder, "show", f"main:{RING}").replace("images:", "# two replicas: see ticket 7\r\n\nimages:")
        edits = {RING: overlay + "   # the end", "models/pump/base/deployment.yaml": "ours: true\n"}
        push_from_another_clone(folder, "main", edits)
        change = commit(folder, release("2.0.0", DIGESTS[1]))
        assert len(changed_lines(folder, change.commit)) == 2

    def test_files_that_people_removed_are_not_restored(self, folder: Path, tmp_path: Path) -> None:
        released(folder)
        clone = checkout(folder, "main", tmp_path)
        git(clone, "rm", "--quiet", "-r", "argocd", "models/pump/base/networkpolicy.yaml")
        git(clone, "commit", "--quiet", "--message", "not here")
        git(clone, "push", "--quiet", "origin", "main")
        change = commit(folder, release("2.0.0", DIGESTS[1]))
        assert "models/pump/base/networkpolicy.yaml" not in files(folder, change.commit)
        assert "argocd/hub/applicationset.yaml" not in files(folder, change.commit)

    def test_another_registry_changes_the_image_name_too(self, folder: Path) -> None:
        released(folder)
        change = commit(folder, release("2.0.0", DIGESTS[0], host="mirror.local:5000"))
        assert changed_lines(folder, change.commit) == [
            '-    newName: "quay.io/team/pump"',
            '+    newName: "mirror.local:5000/pump"',
        ]

    def test_several_models_share_a_repository(self, folder: Path) -> None:
        released(folder)
        change = commit(folder, release(model="fan", digest=DIGESTS[2]))
        added = set(files(folder, change.commit)) - set(files(folder, "main"))
        assert "rings/canary/fan/kustomization.yaml" in added
        assert changed_lines(folder, change.commit)[-1] != "+  - ../../rings/canary/fan"  # site-1 runs pump only
        assert change.warnings == (
            "no site of the ring canary runs fan; after the merge, `kfp-edge fleet add-model fan --ring canary` adds "
            "it to the sites in a checkout, to be committed.",
        )
        assert f"- Warning: {change.warnings[0]}" in render_report(change, change.warnings)

    def test_another_ring_gets_the_image_on_a_branch_of_its_own(self, folder: Path) -> None:
        released(folder)
        fleet = git(folder, "show", "main:fleet.yaml") + "\n  - name: early\n"
        push_from_another_clone(folder, "main", {"fleet.yaml": fleet})
        change = commit(folder, ring="early")
        assert change.branch == "kfp-edge/pump/1.0.0@early"
        assert set(files(folder, change.commit)) - set(files(folder, "main")) == {"rings/early/pump/kustomization.yaml"}

    def test_the_first_ring_by_name_is_the_one_that_is_used_without(self, folder: Path) -> None:
        assert commit(folder, ring="canary").commit == commit(folder).commit


class TestTheSameReleaseAgain:
    def test_a_digest_that_was_merged_is_not_committed_again(self, folder: Path) -> None:
        merged = released(folder)
        refs = git(folder, "for-each-ref")
        assert commit(folder) == Change(str(folder), "main", merged, "", committed=False)
        assert git(folder, "for-each-ref") == refs

    def test_a_digest_that_waits_for_review_is_not_committed_again(self, folder: Path) -> None:
        first = commit(folder)
        second = commit(folder)
        assert (second.branch, second.commit, second.diff) == (first.branch, first.commit, first.diff)
        assert not second.committed

    def test_another_digest_of_the_same_version_is_added_to_its_review(self, folder: Path) -> None:
        first = commit(folder)
        second = commit(folder, release(digest=DIGESTS[1]))
        assert git(folder, "rev-parse", f"{REVIEW}~1") == first.commit
        assert git(folder, "rev-parse", REVIEW) == second.commit

    def test_after_the_merge_the_review_branch_starts_again_from_the_base(self, folder: Path) -> None:
        merged = released(folder)
        change = commit(folder, release(digest=DIGESTS[1]))
        assert change.branch == REVIEW
        assert git(folder, "rev-parse", f"{change.commit}~1") == merged

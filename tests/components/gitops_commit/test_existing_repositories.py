"""A release in a repository that has files of somebody else, or a broken fleet."""

from pathlib import Path

import pytest

from kfp_edge.errors import KfpEdgeError
from kfp_edge.fleet.check.check import check_repository
from kfp_edge.gitops.target import FileTarget
from support.git_repositories import git, push_from_another_clone
from support.release_commits import DIGESTS, changed_lines, checkout, commit, files, released


class TestARepositoryThatIsThere:
    def test_one_with_a_readme_only_becomes_a_fleet_on_the_review_branch(self, folder: Path, tmp_path: Path) -> None:
        push_from_another_clone(folder, "main", {"README.md": "ours\n", ".github/dependabot.yaml": "version: 2\n"})
        change = commit(folder)
        assert files(folder, "main") == [".github/dependabot.yaml", "README.md"]
        assert git(folder, "show", f"{change.commit}:README.md") == "ours"
        assert check_repository(checkout(folder, change.commit, tmp_path)) == []
        assert "rings/canary/pump/kustomization.yaml" in files(folder, change.commit)

    def test_the_layout_of_earlier_versions_is_refused_with_what_to_do(self, folder: Path) -> None:
        old = "sites/site-1/pump/kustomization.yaml"
        image = f"images:\n  - name: pump\n    newName: quay.io/team/pump\n    digest: {DIGESTS[1]}\n"
        push_from_another_clone(folder, "main", {old: image})
        with pytest.raises(KfpEdgeError) as error:
            commit(folder)
        assert str(error.value) == (
            f"{folder} has no fleet.yaml, and sites/site-1/pump/ is of the layout without rings; start a fleet in a "
            "new folder with `kfp-edge fleet init` and `kfp-edge fleet add-site` (docs/fleet-owner.md, From a "
            "repository without rings), or set gitops_target to {file: sites/site-1/pump/kustomization.yaml, image: "
            "pump} to go on as it is."
        )
        change = commit(folder, target=FileTarget.parse({"file": old, "image": "pump"}))
        assert changed_lines(folder, change.commit) == [f"-    digest: {DIGESTS[1]}", f"+    digest: {DIGESTS[0]}"]

    def test_one_of_another_layout_is_refused_unless_the_file_is_named(self, folder: Path) -> None:
        values = f"# the plant\nimage: {{repository: old/pump, digest: '{DIGESTS[1]}'}}   # pinned\n"
        push_from_another_clone(folder, "main", {"apps/pump/values.yaml": values})
        with pytest.raises(KfpEdgeError, match="has no fleet.yaml, but apps/pump/values.yaml; .* gitops_target"):
            commit(folder)
        change = commit(folder, target=FileTarget.parse({"file": "apps/pump/values.yaml", "yaml_path": "image"}))
        assert files(folder, change.commit) == ["apps/pump/values.yaml"]
        assert changed_lines(folder, change.commit)[1] == (
            f"+image: {{repository: quay.io/team/pump, digest: '{DIGESTS[0]}'}}   # pinned"
        )
        assert git(folder, "log", "-1", "--format=%s", change.commit) == "feat(pump): pump 1.0.0 at aaaaaaaaaaaa"

    def test_a_file_that_is_not_there_is_refused(self, folder: Path) -> None:
        push_from_another_clone(folder, "main", {"a": "a\n"})
        with pytest.raises(KfpEdgeError, match="has no file b on main; name the file with the image in gitops_target"):
            commit(folder, target=FileTarget.parse({"file": "b", "image": "pump"}))

    def test_a_file_in_an_empty_repository_is_refused_and_nothing_is_written(self, folder: Path) -> None:
        with pytest.raises(KfpEdgeError, match="is empty; start it with `kfp-edge fleet init`"):
            commit(folder, target=FileTarget.parse({"file": "b", "image": "pump"}))
        assert git(folder, "for-each-ref") == ""

    def test_an_unknown_ring_is_refused_with_those_that_there_are(self, folder: Path) -> None:
        released(folder)
        with pytest.raises(KfpEdgeError, match=r"has no ring canari; did you mean canary\? name one of canary, or add"):
            commit(folder, ring="canari")

    def test_a_broken_fleet_is_refused_with_its_line(self, folder: Path) -> None:
        push_from_another_clone(
            folder, "main", {"fleet.yaml": "apiVersion: kfp-edge.io/v1alpha1\nkind: Fleet\nrings: []\n"}
        )
        with pytest.raises(KfpEdgeError, match="fleet.yaml, line 1: has no name; add it"):
            commit(folder)

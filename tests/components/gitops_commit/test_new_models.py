"""A model that the repository does not have yet: its sites, and how it is served."""

from pathlib import Path

import pytest

from kfp_edge.components.gitops_commit.gitops_commit import Destination, check_target
from kfp_edge.errors import KfpEdgeError
from kfp_edge.fleet.check.check import check_repository
from kfp_edge.git.remote import GitRemote
from kfp_edge.gitops.target import FileTarget
from kfp_edge.images.model_format import ModelFormat
from support.fleets import site_with, write_fleet
from support.git_repositories import git, merge, push_from_another_clone
from support.release_commits import DIGESTS, changed_lines, checkout, commit, modelcar, release, released, rendered


class TestTheSitesOfANewModel:
    def test_the_sites_of_the_ring_that_run_nothing_get_it_and_no_others(self, folder: Path, tmp_path: Path) -> None:
        work = write_fleet(
            tmp_path / "work",
            [site_with("a", models=[]), site_with("b"), site_with("c", "all", models=[])],
        )
        texts = {path.relative_to(work).as_posix(): path.read_text() for path in work.rglob("*") if path.is_file()}
        push_from_another_clone(folder, "main", texts)
        change = commit(folder, release(model="fan", digest=DIGESTS[2]))
        changed = set(git(folder, "diff", "--name-only", f"main...{change.commit}", "--", "sites").split())
        assert changed == {"sites/a/site.yaml", "sites/a/kustomization.yaml"}
        assert check_repository(checkout(folder, change.commit, tmp_path)) == []

    def test_a_site_with_a_registry_gets_its_mirror(self, folder: Path, tmp_path: Path) -> None:
        sites = [site_with("a", models=[], registry="mirror:5000"), site_with("b", "all")]
        work = write_fleet(tmp_path / "work", sites)
        texts = {path.relative_to(work).as_posix(): path.read_text() for path in work.rglob("*") if path.is_file()}
        push_from_another_clone(folder, "main", texts)
        change = commit(folder, release(model="fan", digest=DIGESTS[2]))
        pod = rendered(folder, change.commit, "sites/a", tmp_path)["Deployment"]["spec"]["template"]["spec"]
        assert pod["containers"][0]["image"] == f"mirror:5000/team/fan@{DIGESTS[2]}"
        assert check_repository(checkout(folder, change.commit, tmp_path)) == []

    def test_with_kserve_it_is_an_inference_service(self, folder: Path, tmp_path: Path) -> None:
        released(folder)
        fleet = git(folder, "show", "main:fleet.yaml").replace('serving: "deployment"', "serving: kserve")
        push_from_another_clone(folder, "main", {"fleet.yaml": fleet})
        change = commit(folder, release(model="fan", digest=DIGESTS[2]))
        objects = rendered(folder, change.commit, "rings/canary/fan", tmp_path)
        uri = objects["InferenceService"]["spec"]["predictor"]["model"]["storageUri"]
        assert uri == f"oci://quay.io/team/fan@{DIGESTS[2]}"
        merge(folder, change.branch)
        change = commit(folder, release("2.0.0", model="fan", digest=DIGESTS[1]))
        assert changed_lines(folder, change.commit) == [
            f'-    digest: "{DIGESTS[2]}"',
            f'+    digest: "{DIGESTS[1]}"',
        ]


class TestAModelcar:
    def test_of_a_new_repository_is_served_by_kserve(self, folder: Path, tmp_path: Path) -> None:
        change = commit(folder, modelcar())
        assert 'serving: "kserve"' in git(folder, "show", "main:fleet.yaml")
        objects = rendered(folder, change.commit, "rings/canary/pump", tmp_path)
        uri = objects["InferenceService"]["spec"]["predictor"]["model"]["storageUri"]
        assert uri == f"oci://quay.io/team/pump@{DIGESTS[0]}"

    def test_of_a_model_that_is_a_deployment_is_refused_and_nothing_is_committed(self, folder: Path) -> None:
        released(folder)
        before = git(folder, "for-each-ref")
        with pytest.raises(KfpEdgeError, match="pump is a Deployment in .* cannot run a modelcar; .*format=image"):
            commit(folder, modelcar("2.0.0"))
        with pytest.raises(KfpEdgeError, match="cannot run a modelcar"):
            check_target(Destination(GitRemote.parse(str(folder)), "main"), "fan", "1.0.0", ModelFormat.MODELCAR)
        assert git(folder, "for-each-ref") == before

    def test_is_not_judged_in_a_file_of_another_layout(self, folder: Path) -> None:
        file = f"spec: {{predictor: {{model: {{storageUri: 'oci://old/pump@{DIGESTS[1]}'}}}}}}\n"
        push_from_another_clone(folder, "main", {"README.md": "", "pump.yaml": file})
        target = FileTarget.parse({"file": "pump.yaml", "yaml_path": "spec.predictor.model.storageUri"})
        change = commit(folder, modelcar(), target=target)
        text = git(folder, "show", f"{change.commit}:pump.yaml")
        assert f"storageUri: 'oci://quay.io/team/pump@{DIGESTS[0]}'" in text

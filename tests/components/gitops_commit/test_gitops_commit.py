import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from kfp_edge.components.gitops_commit.gitops_commit import Destination, Release, check_target, commit_release
from kfp_edge.components.gitops_commit.report import MAX_DIFF_LINES, render_report
from kfp_edge.errors import KfpEdgeError
from kfp_edge.fleet.check.check import check_repository
from kfp_edge.git.remote import GitRemote
from kfp_edge.gitops import changes
from kfp_edge.gitops.changes import Change
from kfp_edge.gitops.target import FileTarget
from kfp_edge.images.model_format import ModelFormat
from support import git_repositories, schemas
from support.bundles import tiny_bundle
from support.fleets import site_with, write_fleet
from support.git_repositories import bare, before_each_push, git, git_server, hook, merge, push_from_another_clone
from support.images import layered_image

DIGESTS = tuple(f"sha256:{digit * 64}" for digit in "abc")
RING = "rings/canary/pump/kustomization.yaml"
REVIEW = "kfp-edge/pump/1.0.0"


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    git_repositories.isolate(monkeypatch, tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return bare(tmp_path / "gitops.git")


def release(
    version: str = "1.0.0", digest: str = DIGESTS[0], model: str = "pump", host: str = "quay.io/team"
) -> Release:
    return Release(model, version, f"{host}/{model}", digest)


def commit(folder: Path, what: Release | None = None, ring: str = "", target: FileTarget | None = None) -> Change:
    return commit_release(what or release(), Destination(GitRemote.parse(str(folder)), "main", ring, target))


def released(folder: Path, what: Release | None = None, ring: str = "") -> str:
    """Commit a release and merge it, as a reviewer does."""
    return merge(folder, commit(folder, what, ring).branch)


def files(folder: Path, commit: str) -> list[str]:
    return git(folder, "ls-tree", "-r", "--name-only", commit).splitlines()


def changed_lines(folder: Path, commit: str) -> list[str]:
    diff = git(folder, "show", "--format=", "--unified=0", commit).splitlines()
    return [line for line in diff if line[0] in "+-" and line[:3] not in ("+++", "---")]


def checkout(folder: Path, commit: str, tmp_path: Path) -> Path:
    clone = Path(tempfile.mkdtemp(dir=tmp_path, prefix="checkout-"))
    git(tmp_path, "clone", "--quiet", "--no-checkout", str(folder), str(clone))
    git(clone, "checkout", "--quiet", commit)
    return clone


def rendered(folder: Path, commit: str, path: str, tmp_path: Path) -> dict[str, Any]:
    """Check a commit out and render a folder of it with the real kustomize; return the objects by kind."""
    clone = checkout(folder, commit, tmp_path)
    kubectl = Path(sys.executable).with_name("kubectl")
    done = subprocess.run([kubectl, "kustomize", clone / path], check=True, capture_output=True, text=True)
    return {each["kind"]: each for each in YAML(typ="safe", pure=True).load_all(done.stdout)}


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
        assert (
            changed_lines(folder, REVIEW)[-4:]
            == [
                "-resources: []",
                "+resources:",
                "+  - ../../rings/canary/pump",
                "-models: []",
                "+models:",
                '+  - "pump"',
            ][-4:]
        )

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


class TestConcurrentPushes:
    def test_after_a_concurrent_push_the_change_is_applied_again(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = commit(folder)
        theirs = push_from_another_clone(folder, "theirs", {"notes.md": "mine\n"}, start=f"origin/{REVIEW}")
        script = f"git -C {folder} update-ref refs/heads/{REVIEW} {theirs} {first.commit} 2>/dev/null"
        before_each_push(monkeypatch, tmp_path / "bin", script)
        change = commit(folder, release(digest=DIGESTS[1]))
        assert git(folder, "rev-parse", f"{change.commit}~1") == theirs
        assert len(changed_lines(folder, change.commit)) == 2

    def test_a_concurrent_push_to_the_empty_repository_is_kept(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clone = tmp_path / "second"
        git(tmp_path, "clone", "--quiet", str(folder), str(clone))
        git(clone, "checkout", "--quiet", "-B", "main")
        git(clone, "commit", "--quiet", "--allow-empty", "--message", "theirs")
        before_each_push(monkeypatch, tmp_path / "bin", f"(cd {clone} && env -u GIT_DIR $REAL_GIT push -q origin main)")
        change = commit(folder)
        assert git(folder, "log", "-1", "--format=%s", "main") == "theirs"
        assert git(folder, "rev-parse", f"{change.commit}~1") == git(folder, "rev-parse", "main")

    def test_a_release_that_another_run_pushed_is_not_repeated(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        released(folder)
        theirs = commit(folder, release("2.0.0", DIGESTS[1]))
        git(folder, "update-ref", "-d", f"refs/heads/{theirs.branch}")
        other = push_from_another_clone(folder, "x", {"x": "x\n"}, start=theirs.commit)
        before_each_push(
            monkeypatch, tmp_path / "bin", f"git -C {folder} update-ref refs/heads/{theirs.branch} {other}"
        )
        again = commit(folder, release("2.0.0", DIGESTS[1]))
        assert (again.commit, again.committed) == (other, False)

    def test_it_gives_up_after_many_attempts(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        head = commit(folder).commit
        script = (
            f"new=$(git -C {folder} -c user.name=x -c user.email=x@x commit-tree -p refs/heads/{REVIEW} "
            f"-m theirs refs/heads/{REVIEW}^{{tree}}) && git -C {folder} update-ref refs/heads/{REVIEW} $new"
        )
        before_each_push(monkeypatch, tmp_path / "bin", script)
        monkeypatch.setattr(changes, "ATTEMPTS", 4)
        monkeypatch.setattr(changes, "_LONGEST_WAIT", 0.0)
        with pytest.raises(KfpEdgeError, match="gave up after 4 attempts: another client pushed to the branch"):
            commit(folder, release(digest=DIGESTS[1]))
        assert git(folder, "log", "--format=%s", f"{head}..{REVIEW}").splitlines() == ["theirs"] * 4


class TestRefusals:
    def test_a_push_that_the_server_refuses_leaves_nothing(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(scratch))
        released(folder)
        refs = git(folder, "for-each-ref")
        hook(folder, "pre-receive", "echo 'only maintainers may push'; exit 1")
        with pytest.raises(KfpEdgeError, match=r"refuses the push to the branch .*: only maintainers may push"):
            commit(folder, release("2.0.0", DIGESTS[1]))
        assert git(folder, "for-each-ref") == refs
        assert list(scratch.iterdir()) == []

    def test_the_error_about_a_missing_base_branch_lists_the_branches(self, folder: Path) -> None:
        push_from_another_clone(folder, "trunk", {"a": "a\n"})
        with pytest.raises(KfpEdgeError, match=r"has no branch main; .*gitops_branch of a pipeline.*: trunk\."):
            commit(folder)

    @pytest.mark.parametrize("name", ["", "Pump", "pump_1", "-pump", "pump-", "a.b", "a/b", "a" * 64, "a\n", "../a"])
    def test_names_that_kubernetes_does_not_take_are_refused(self, folder: Path, name: str) -> None:
        remote = GitRemote.parse(str(folder))
        for make in (
            lambda: Release(name, "1", "quay.io/a", DIGESTS[0]),
            lambda: Destination(remote, "main", name or "-"),
        ):
            with pytest.raises(KfpEdgeError, match="cannot be used; it must be a DNS label"):
                make()

    @pytest.mark.parametrize(
        ("model", "version", "image", "digest"),
        [
            ("1pump", "1", "quay.io/a", DIGESTS[0]),
            ("pump", "1 0", "quay.io/a", DIGESTS[0]),
            ("pump", "1..0", "quay.io/a", DIGESTS[0]),
            ("pump", "1.lock", "quay.io/a", DIGESTS[0]),
            ("pump", "1\nImage: evil", "quay.io/a", DIGESTS[0]),
            ("pump", "1", "quay.io/a:latest@", DIGESTS[0]),
            ("pump", "1", 'quay.io/a"\nkind: Evil', DIGESTS[0]),
            ("pump", "1", "quay.io/a", "sha256:abc"),
        ],
    )
    def test_a_release_with_an_invalid_name_is_refused(self, model: str, version: str, image: str, digest: str) -> None:
        with pytest.raises(KfpEdgeError, match="cannot be"):
            Release(model, version, image, digest)

    @pytest.mark.parametrize("text", ["images: []\n", "images: [\n"])
    def test_the_error_about_an_overlay_that_cannot_be_edited_has_its_path(self, folder: Path, text: str) -> None:
        released(folder)
        push_from_another_clone(folder, "main", {RING: text})
        with pytest.raises(KfpEdgeError, match=RING):
            commit(folder, release("2.0.0", DIGESTS[1]))


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
            f"{folder} has sites/SITE/MODEL/ of an earlier layout and no fleet.yaml; create one with `kfp-edge fleet "
            "init` in a checkout, and move what sites run to rings/, or set gitops_target to {file: "
            "sites/SITE/pump/kustomization.yaml, image: pump} to go on as it is."
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


def modelcar(version: str = "1.0.0") -> Release:
    return replace(release(version), format=ModelFormat.MODELCAR)


class TestTheReport:
    def test_it_names_the_commit_and_shows_the_diff(self, folder: Path) -> None:
        change = commit(folder)
        text = render_report(change)
        for each in (str(folder), REVIEW, change.commit, f'+    digest: "{DIGESTS[0]}"'):
            assert each in text

    def test_it_says_that_there_was_nothing_to_commit(self, folder: Path) -> None:
        released(folder)
        assert "nothing to commit" in render_report(commit(folder))

    def test_a_long_diff_is_truncated_and_cannot_end_its_code_block(self) -> None:
        diff = "```\n" * (MAX_DIFF_LINES + 7)
        text = render_report(Change("r", "b", "c0ffee", diff, committed=True))
        assert "````diff\n" in text
        assert text.splitlines().count("```") == MAX_DIFF_LINES
        assert "7 more lines: `git show c0ffee`." in text


class TestTheComponent:
    def run(self, repo: str, image: str, out: Path) -> tuple[str, str, str, bool, str]:
        from kfp.dsl import Artifact, Markdown

        from kfp_edge.components.gitops_commit.component import gitops_commit

        change, bundle = Markdown(uri=str(out)), Artifact(uri=str(out))
        change.path = str(out)
        bundle.path = str(tiny_bundle(out.parent / "bundle", "pump", metrics={"roc_auc": 0.9}).folder)
        outputs: tuple[str, str, str, bool, str] = gitops_commit.python_func(
            image, bundle, "pump", "1.0.0", repo, change
        )
        return outputs

    def test_its_outputs_are_repository_branch_and_commit(self, folder: Path, tmp_path: Path) -> None:
        image = str(layered_image(tmp_path / "pump", [b"model"], {}))
        outputs = self.run(folder.as_uri(), image, tmp_path / "change.md")
        assert outputs == (str(folder), REVIEW, git(folder, "rev-parse", REVIEW), True, "")
        assert 'newName: "localhost/pump"' in (tmp_path / "change.md").read_text()
        assert "- roc_auc: 0.9" in git(folder, "log", "-1", "--format=%B", REVIEW)

    def test_a_missing_repository_ends_the_stage_with_one_sentence(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit):
            self.run(str(tmp_path / "nowhere"), f"oci:{tmp_path}/pump@{DIGESTS[0]}", tmp_path / "change.md")
        assert f"git init --bare {tmp_path}/nowhere" in capsys.readouterr().err

    def test_over_https_neither_outputs_nor_repository_contain_the_token(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        token = "s3cr3t-t0ken"
        monkeypatch.setenv("KFP_EDGE_GIT_TOKEN", token)
        with git_server(tmp_path, token=token) as server:
            monkeypatch.setenv("KFP_EDGE_GIT_CA_FILE", str(server.certificate))
            url = server.url("gitops.git")
            outputs = self.run(url, str(layered_image(tmp_path / "pump", [b"model"], {})), tmp_path / "change.md")
        assert outputs[:2] == (url, REVIEW)
        text = "".join([*map(str, outputs), *capfd.readouterr(), (tmp_path / "change.md").read_text()])
        assert token not in text
        assert token not in git(folder, "log", "--patch", REVIEW)

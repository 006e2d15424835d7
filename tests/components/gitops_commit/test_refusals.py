"""What `gitops_commit` refuses, in one sentence and without a trace in the repository."""

import tempfile
from pathlib import Path

import pytest

from kfp_edge.components.gitops_commit.gitops_commit import Destination, Release
from kfp_edge.errors import KfpEdgeError
from kfp_edge.git.remote import GitRemote
from support.git_repositories import git, hook, push_from_another_clone
from support.release_commits import DIGESTS, RING, commit, release, released


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

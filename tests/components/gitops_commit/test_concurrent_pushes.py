"""What other clients push at the same time is kept."""

from pathlib import Path

import pytest

from kfp_edge.errors import KfpEdgeError
from kfp_edge.gitops import changes
from support.git_repositories import before_each_push, git, push_from_another_clone
from support.release_commits import DIGESTS, REVIEW, changed_lines, commit, release, released


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

"""Commits as a file: from one repository into another that no network connects."""

from pathlib import Path

import pytest

from kfp_edge.errors import GitError
from kfp_edge.git.remote import GitRemote
from kfp_edge.git.repository import open_repository
from support.git_repositories import bare, git, isolate, push_from_another_clone


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with two commits; the current folder is one of the user's."""
    isolate(monkeypatch, tmp_path)
    folder = bare(tmp_path / "source.git")
    for number in "12":
        push_from_another_clone(folder, "main", {f"rings/{number}.yaml": number})
    return folder


def write(source: Path, since: str | None = None) -> Path:
    with open_repository(GitRemote(str(source))) as repository:
        repository.write_bundle(Path("fleet.bundle"), "main", since)
    return Path("fleet.bundle")


def test_the_whole_history_arrives(source: Path, tmp_path: Path) -> None:
    file = write(source)
    head = git(source, "rev-parse", "main")
    with open_repository(GitRemote(str(bare(tmp_path / "target.git")))) as target:
        assert not target.has_commit(head)
        target.read_bundle(file, "main")
        target.push(head, "main", None)
    assert git(tmp_path / "target.git", "log", "--format=%H") == git(source, "log", "--format=%H", "main")


def test_commits_on_top_of_others_need_these(source: Path, tmp_path: Path) -> None:
    file = write(source, since=git(source, "rev-parse", "main~1"))
    with (
        open_repository(GitRemote(str(bare(tmp_path / "target.git")))) as target,
        pytest.raises(GitError, match="the archive builds on commits that .*target.git does not have"),
    ):
        target.read_bundle(file, "main")


def test_a_damaged_file_is_refused(source: Path, tmp_path: Path) -> None:
    file = write(source)
    file.write_bytes(file.read_bytes()[:-40])
    with (
        open_repository(GitRemote(str(bare(tmp_path / "target.git")))) as target,
        pytest.raises(GitError, match="git cannot read the commits in the archive"),
    ):
        target.read_bundle(file, "main")


def test_files_that_were_deleted_are_part_of_the_history(source: Path) -> None:
    work = source.parent / "work"
    git(source.parent, "clone", "--quiet", str(source), str(work))
    git(work, "rm", "--quiet", "rings/1.yaml")
    git(work, "commit", "--quiet", "--message", "remove a file")
    git(work, "push", "--quiet", "origin", "HEAD:main")
    with open_repository(GitRemote(str(source))) as repository:
        head = repository.head("main")
        assert head is not None
        assert repository.list_files(head, "rings") == ["rings/2.yaml"]
        assert repository.list_past_files(head, "rings") == ["rings/1.yaml", "rings/2.yaml"]
        assert repository.list_past_files(head, "sites") == []

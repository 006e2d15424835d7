"""Changes as commits: at most once, none lost, and nothing of others overwritten."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from kfp_edge.errors import KfpEdgeError
from kfp_edge.git.remote import GitRemote
from kfp_edge.gitops.changes import Change, PlannedCommit, commit_change, propose_change
from kfp_edge.gitops.tree import Tree
from support.git_repositories import before_each_push, git, hook, merge, push_from_another_clone

REVIEW = "kfp-edge/press/1.4.0"


def _append(tree: Tree, line: str, branch: str = REVIEW) -> PlannedCommit:
    lines = (tree.read("list.txt") or b"").decode().splitlines()
    text = "".join(f"{each}\n" for each in (lines if line in lines else [*lines, line]))
    return PlannedCommit(branch, f"add {line}\n", {"list.txt": text.encode()})


def _write(tree: Tree, text: str, branch: str = REVIEW) -> PlannedCommit:
    return PlannedCommit(branch, f"write {text}\n", {"digest.txt": f"{text}\n".encode()})


def propose(folder: Path, text: str, branch: str = REVIEW) -> Change:
    return propose_change(GitRemote(str(folder)), "main", partial(_write, text=text, branch=branch))


@pytest.fixture
def started(folder: Path) -> Path:
    """A repository with a base branch."""
    push_from_another_clone(folder, "main", {"digest.txt": "old\n", "notes.md": "ours\n"})
    return folder


def squash(folder: Path, branch: str) -> str:
    """Merge a branch as one commit that does not have it as parent, as a forge does; keep the branch."""
    files = git(folder, "diff", "--name-only", f"main...{branch}").split()
    return push_from_another_clone(
        folder, "main", {name: git(folder, "show", f"{branch}:{name}") + "\n" for name in files}
    )


@pytest.mark.slow
class TestManyWriters:
    def test_of_twenty_writers_to_one_branch_none_is_lost(self, started: Path) -> None:
        remote = GitRemote(str(started))

        def add(number: int) -> Change:
            return commit_change(remote, "main", partial(_append, line=f"writer {number}"))

        with ThreadPoolExecutor(20) as pool:
            changes = list(pool.map(add, range(20)))
        lines = git(started, "show", "main:list.txt").splitlines()
        assert sorted(lines) == sorted(f"writer {number}" for number in range(20))
        assert all(change.committed for change in changes)
        assert len({change.commit for change in changes}) == 20

    def test_of_twenty_writers_to_one_review_none_is_lost(self, started: Path) -> None:
        remote = GitRemote(str(started))

        def add(number: int) -> Change:
            return propose_change(remote, "main", partial(_append, line=f"writer {number}"))

        with ThreadPoolExecutor(20) as pool:
            list(pool.map(add, range(20)))
        assert len(git(started, "show", f"{REVIEW}:list.txt").splitlines()) == 20
        assert git(started, "show", "main:notes.md") == "ours"


class TestBranchesThatOthersChange:
    def test_a_review_branch_that_was_deleted_meanwhile_begins_again_at_the_base(
        self, started: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        propose(started, "a")
        script = f"git -C {started} update-ref -d refs/heads/{REVIEW}"
        before_each_push(monkeypatch, tmp_path / "bin", f"test -e {tmp_path}/once || {script}; touch {tmp_path}/once")
        change = propose(started, "b")
        assert git(started, "rev-parse", f"{change.commit}~1") == git(started, "rev-parse", "main")

    def test_what_was_force_pushed_meanwhile_is_what_the_change_is_applied_to(
        self, started: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        propose(started, "a")
        theirs = push_from_another_clone(started, "theirs", {"fix.txt": "theirs\n"}, start="origin/main")
        script = f"git -C {started} update-ref refs/heads/{REVIEW} {theirs}"
        before_each_push(monkeypatch, tmp_path / "bin", f"test -e {tmp_path}/once || {script}; touch {tmp_path}/once")
        change = propose(started, "b")
        assert git(started, "rev-parse", f"{change.commit}~1") == theirs

    def test_a_base_that_was_force_pushed_is_read_again(self, started: Path) -> None:
        propose(started, "a")
        git(started, "update-ref", "-d", f"refs/heads/{REVIEW}")
        other = push_from_another_clone(started, "other", {"digest.txt": "rewritten\n"})
        git(started, "update-ref", "refs/heads/main", other)
        change = propose(started, "a")
        assert git(started, "rev-parse", f"{change.commit}~1") == other

    def test_what_a_person_added_to_the_review_stays(self, started: Path) -> None:
        propose(started, "a")
        push_from_another_clone(started, REVIEW, {"notes.md": "of the reviewer\n"})
        propose(started, "b")
        assert git(started, "show", f"{REVIEW}:notes.md") == "of the reviewer"
        assert git(started, "show", f"{REVIEW}:digest.txt") == "b"


class TestABranchInTheWay:
    @pytest.mark.parametrize("other", ["kfp-edge/press", "kfp-edge", f"{REVIEW}/old"])
    def test_it_is_named_in_one_sentence_and_nothing_is_tried_again(
        self, started: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: str
    ) -> None:
        git(started, "branch", other, "main")
        before_each_push(monkeypatch, tmp_path / "bin", f"touch {tmp_path}/pushed")
        with pytest.raises(KfpEdgeError) as error:
            propose(started, "a")
        assert str(error.value) == (
            f"{started} has the branch {other}, and git can have no branch {REVIEW} beside it, because it keeps "
            f"branches as files in folders; rename or delete {other}."
        )
        assert not (tmp_path / "pushed").exists()

    def test_one_that_comes_meanwhile_is_no_lost_race_although_git_says_the_same(
        self, started: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        script = f"git -C {started} update-ref refs/heads/kfp-edge/press refs/heads/main; echo >> {tmp_path}/pushes"
        before_each_push(monkeypatch, tmp_path / "bin", script)
        with pytest.raises(KfpEdgeError, match="rename or delete kfp-edge/press"):
            propose(started, "a")
        assert (tmp_path / "pushes").read_text() == "\n"

    def test_branches_beside_it_are_not_in_the_way(self, started: Path) -> None:
        git(started, "branch", "kfp-edge/press/1.4.0@early", "main")
        git(started, "branch", "kfp-edge/press-2", "main")
        assert propose(started, "a").committed


class TestMerges:
    def test_after_a_merge_the_next_change_begins_at_the_base(self, started: Path) -> None:
        propose(started, "a")
        merged = merge(started, REVIEW)
        change = propose(started, "b")
        assert git(started, "rev-parse", f"{change.commit}~1") == merged

    def test_after_a_squash_the_same_change_is_not_committed_again(self, started: Path) -> None:
        propose(started, "a")
        squashed = squash(started, REVIEW)
        assert propose(started, "a") == Change(str(started), "main", squashed, "", committed=False)

    def test_after_a_squash_another_change_of_the_same_version_can_be_merged_without_a_conflict(
        self, started: Path
    ) -> None:
        first = propose(started, "a")
        squashed = squash(started, REVIEW)
        change = propose(started, "b")
        # nothing is rewritten: the branch goes on, with the base as its other parent
        assert git(started, "rev-parse", f"{change.commit}^1") == first.commit
        assert git(started, "rev-parse", f"{change.commit}^2") == squashed
        assert [line for line in change.diff.splitlines() if line[0] in "+-"][2:] == ["-a", "+b"]
        merge(started, REVIEW)
        assert git(started, "show", "main:digest.txt") == "b"

    def test_after_a_squash_and_later_changes_of_the_base_it_still_counts_as_merged(self, started: Path) -> None:
        propose(started, "a")
        squash(started, REVIEW)
        later = push_from_another_clone(started, "main", {"digest.txt": "of another release\n"})
        change = propose(started, "b")
        assert git(started, "rev-parse", f"{change.commit}^2") == later
        merge(started, REVIEW)
        assert git(started, "show", "main:digest.txt") == "b"

    def test_two_squashes_of_one_version_are_as_good_as_one(self, started: Path) -> None:
        for text in ("a", "b", "c"):
            propose(started, text)
            squash(started, REVIEW)
        assert git(started, "show", "main:digest.txt") == "c"
        assert not propose(started, "c").committed

    def test_a_review_that_is_not_merged_is_not_taken_for_merged_when_the_base_goes_on(self, started: Path) -> None:
        first = propose(started, "a")
        push_from_another_clone(started, "main", {"notes.md": "newer\n"})
        change = propose(started, "b")
        assert git(started, "log", "-1", "--format=%P", change.commit) == first.commit


class TestPushes:
    def test_a_protected_branch_is_a_sentence_of_the_server_and_is_not_tried_again(
        self, started: Path, tmp_path: Path
    ) -> None:
        hook(started, "pre-receive", f"echo >> {tmp_path}/pushes; echo 'main is protected' >&2; exit 1")
        with pytest.raises(KfpEdgeError, match=r"refuses the push to the branch main: main is protected \| pre-"):
            commit_change(GitRemote(str(started)), "main", partial(_write, text="a"))
        assert (tmp_path / "pushes").read_text() == "\n"

    def test_a_push_whose_answer_was_lost_has_been_done(
        self, started: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lost = '$REAL_GIT "$@" || exit $?; echo "fatal: the remote end hung up unexpectedly" >&2; exit 128'
        before_each_push(monkeypatch, tmp_path / "bin", lost)
        change = propose(started, "a")
        assert change.committed
        assert git(started, "rev-parse", REVIEW) == change.commit

    def test_a_push_that_was_interrupted_leaves_nothing_and_the_next_run_does_it(
        self, started: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        refs = git(started, "for-each-ref")
        with monkeypatch.context() as patch:
            before_each_push(patch, tmp_path / "bin", "echo 'fatal: the remote end hung up unexpectedly' >&2; exit 128")
            with pytest.raises(KfpEdgeError, match="cannot write the git repository .* hung up unexpectedly"):
                propose(started, "a")
        assert git(started, "for-each-ref") == refs
        assert propose(started, "a").committed

    def test_a_file_can_be_deleted(self, started: Path) -> None:
        def plan(tree: Tree) -> PlannedCommit:
            return PlannedCommit(REVIEW, "remove notes\n", {"notes.md": None, "nowhere.md": None})

        change = commit_change(GitRemote(str(started)), "main", plan)
        assert git(started, "ls-tree", "--name-only", change.commit) == "digest.txt"
        assert not commit_change(GitRemote(str(started)), "main", plan).committed

    def test_an_empty_repository_is_an_error_unless_it_may_be_started(self, folder: Path) -> None:
        with pytest.raises(KfpEdgeError, match=r"is empty; start it with `kfp-edge fleet init`\."):
            propose(folder, "a")
        plan = partial(_write, text="a")
        change = propose_change(GitRemote(str(folder)), "main", plan, first_files={"README.md": b"hello\n"})
        assert git(folder, "show", "main:README.md") == "hello"
        assert git(folder, "rev-parse", f"{change.commit}~1") == git(folder, "rev-parse", "main")

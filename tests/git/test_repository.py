import os
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kfp_edge.errors import KfpEdgeError
from kfp_edge.git.remote import GitRemote, check_branch
from kfp_edge.git.repository import check_access, open_repository
from kfp_edge.git.server_errors import PushedMeanwhileError
from support import git_repositories
from support.git_repositories import bare, git, git_server, hook, push_from_another_clone

TOKEN = "glpat-s3cr3t-t0ken"


@pytest.fixture(autouse=True)
def users_config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    return git_repositories.isolate(monkeypatch, tmp_path)


@pytest.fixture
def scratch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def push_file(remote: GitRemote, name: str = "a.txt", data: bytes = b"a\n") -> str:
    with open_repository(remote) as repository:
        commit = repository.commit(repository.head("main"), {name: data}, "add a file\n")
        repository.push(commit, "main", repository.head("main"))
    return commit


class TestNamingARepository:
    def test_a_folder_and_its_file_url_are_the_same(self, tmp_path: Path) -> None:
        folder = bare(tmp_path / "with space.git")
        url = folder.as_uri()
        assert GitRemote.parse(str(folder)) == GitRemote.parse(url) == GitRemote(str(folder))

    def test_a_relative_folder_becomes_absolute(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = bare(tmp_path / "gitops.git")
        monkeypatch.chdir(tmp_path)
        assert GitRemote.parse("gitops.git").url == str(folder)

    def test_the_error_about_a_missing_folder_has_the_command_that_creates_it(self, tmp_path: Path) -> None:
        with pytest.raises(
            KfpEdgeError, match=rf"no git repository in {tmp_path}/nowhere; .*`git init --bare {tmp_path}"
        ):
            GitRemote.parse(str(tmp_path / "nowhere"))

    def test_a_folder_without_a_repository_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(KfpEdgeError, match="no git repository"):
            GitRemote.parse(str(tmp_path))

    @pytest.mark.parametrize(
        "url",
        [
            f"https://{TOKEN}@git.example/a.git",
            f"https://user:{TOKEN}@git.example/a.git",
            f"https://user:{TOKEN}@git.example:bad/a.git",
            f"https://git.example/a.git?private_token={TOKEN}",
            f"https:/user:{TOKEN}@git.example/a.git",
            f"http://user:{TOKEN}@git.example/a.git",
            f"https://user:{TOKEN}@[git.example/a.git",
            f"ssh://user:{TOKEN}@git.example/a.git",
            f"ftp://git.example/{TOKEN}",
        ],
    )
    def test_a_url_with_credentials_is_refused_without_repeating_them(self, url: str) -> None:
        with pytest.raises(KfpEdgeError) as error:
            GitRemote.parse(url)
        assert TOKEN not in str(error.value)

    @pytest.mark.parametrize("url", ["git@git.example:team/a.git", "http://git.example/a.git", "ext::sh -c id", ""])
    def test_any_other_address_is_refused(self, url: str) -> None:
        with pytest.raises(KfpEdgeError):
            GitRemote.parse(url)

    @pytest.mark.parametrize("name", ["", "a..b", "a b", "a.lock", "a.lock/b", "/a", "a/", "a.", "-a", "a\nb", "a\0b"])
    def test_a_name_that_is_not_valid_for_a_branch_is_refused(self, name: str) -> None:
        with pytest.raises(KfpEdgeError, match="cannot be the name of a git branch"):
            check_branch(name)

    @settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        st.text("aZ0-_./@{}~^:?*[\\ \n#+é", min_size=1, max_size=8)
        | st.from_regex(r"[a.]+(/|//)[a.]+(\.lock)?", fullmatch=True)
    )
    def test_git_accepts_every_branch_name_that_is_not_refused(self, name: str) -> None:
        try:
            check_branch(name)
        except KfpEdgeError:
            return
        assert git(Path(), "check-ref-format", "--branch", name) == name


class TestCommitting:
    def test_an_empty_repository_gets_its_first_commit(self, tmp_path: Path) -> None:
        folder = bare(tmp_path / "gitops.git")
        commit = push_file(GitRemote(str(folder)))
        assert git(folder, "rev-parse", "main") == commit
        assert git(folder, "show", "main:a.txt") == "a"

    def test_the_bytes_of_a_file_are_written_and_read_unchanged(self, tmp_path: Path) -> None:
        folder = bare(tmp_path / "gitops.git")
        push_from_another_clone(folder, "main", {".gitattributes": "* text=auto eol=crlf\n"})
        data = b"a\r\nb\n\xff\x00c"
        push_file(GitRemote(str(folder)), "x/y.bin", data)
        with open_repository(GitRemote(str(folder))) as repository:
            assert repository.read(repository.head("main") or "", "x/y.bin") == data

    def test_other_files_and_file_modes_stay(self, tmp_path: Path) -> None:
        folder = bare(tmp_path / "gitops.git")
        push_from_another_clone(folder, "main", {"run.sh": "true\n", "other": "stays\n"})
        clone = tmp_path / "clone"
        git(tmp_path, "clone", "--quiet", str(folder), str(clone))
        git(clone, "update-index", "--chmod=+x", "run.sh")
        git(clone, "commit", "--quiet", "--message", "executable")
        git(clone, "push", "--quiet", "origin", "main")
        push_file(GitRemote(str(folder)), "run.sh", b"false\n")
        assert git(folder, "diff-tree", "-r", "main~1", "main").split()[:2] == [":100755", "100755"]
        assert git(folder, "show", "main:other") == "stays"

    @pytest.mark.parametrize("count", [3, 300])
    def test_many_files_are_read_at_once_with_their_bytes(self, tmp_path: Path, count: int) -> None:
        folder = bare(tmp_path / "gitops.git")
        remote = GitRemote(str(folder))
        files = {f"sites/hall {number} é/site.yaml": b"a\r\n\xff\x00\n" * number for number in range(count)}
        with open_repository(remote) as repository:
            commit = repository.commit(None, files, "many\n")
            assert repository.read_all(commit, [*files, "nowhere", "sites"]) == files
            assert repository.list_files(commit) == repository.list_files(commit, "sites") == sorted(files)
            assert repository.list_files(commit, "site") == []

    def test_a_file_that_is_deleted_is_gone_and_one_in_the_place_of_a_folder_replaces_it(self, tmp_path: Path) -> None:
        folder = bare(tmp_path / "gitops.git")
        with open_repository(GitRemote(str(folder))) as repository:
            first = repository.commit(None, {"a/b": b"1", "c": b"2"}, "first\n")
            second = repository.commit(first, {"a/b": None, "nowhere": None}, "second\n")
            third = repository.commit(first, {"a": b"3"}, "third\n")
            assert repository.list_files(second) == ["c"]
            assert repository.list_files(third) == ["a", "c"]

    def test_a_file_that_does_not_exist_reads_as_none(self, tmp_path: Path) -> None:
        folder = bare(tmp_path / "gitops.git")
        push_from_another_clone(folder, "main", {"a/b": "b\n"})
        with open_repository(GitRemote(str(folder))) as repository:
            head = repository.head("main") or ""
            assert repository.read(head, "nowhere") is None
            assert repository.read(head, "a") is None

    def test_without_a_configured_name_the_author_is_kfp_edge(self, tmp_path: Path) -> None:
        folder = bare(tmp_path / "gitops.git")
        push_file(GitRemote(str(folder)))
        assert git(folder, "log", "-1", "--format=%an <%ae> %cn <%ce>", "main") == (
            "kfp-edge <kfp-edge@localhost> kfp-edge <kfp-edge@localhost>"
        )

    def test_the_users_git_configuration_gives_the_author(self, tmp_path: Path, users_config: Path) -> None:
        users_config.write_text("[user]\n\tname = Ada\n\temail = ada@example.org\n")
        folder = bare(tmp_path / "gitops.git")
        push_file(GitRemote(str(folder)))
        assert git(folder, "log", "-1", "--format=%an <%ae>", "main") == "Ada <ada@example.org>"

    def test_nothing_else_of_the_users_git_configuration_has_an_effect(
        self, tmp_path: Path, users_config: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hooks, ignored = tmp_path / "hooks", tmp_path / "ignored"
        hooks.mkdir()
        ignored.write_text("*\n")
        for name in ("pre-commit", "commit-msg", "pre-push", "reference-transaction"):
            (hooks / name).write_text("#!/bin/sh\nexit 1\n")
            (hooks / name).chmod(0o755)
        folder = bare(tmp_path / "gitops.git")
        users_config.write_text(
            "[commit]\n\tgpgsign = true\n[push]\n\tgpgSign = true\n[gpg]\n\tprogram = false\n"
            f"[core]\n\thooksPath = {hooks}\n\texcludesFile = {ignored}\n\tautocrlf = true\n"
            f'[url "/nowhere/"]\n\tinsteadOf = {tmp_path}/\n'
        )
        monkeypatch.setenv("GIT_DIR", str(tmp_path))
        monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
        commit = push_file(GitRemote(str(folder)))
        assert (folder / "refs/heads/main").read_text().strip() == commit

    @pytest.mark.root
    def test_a_repository_that_another_user_owns_is_accepted(self, tmp_path: Path) -> None:
        folder = bare(tmp_path / "gitops.git")
        for path in (folder, *folder.rglob("*")):
            os.chown(path, 1000680000, 0)
        commit = push_file(GitRemote(str(folder)))
        assert (folder / "refs/heads/main").read_text().strip() == commit

    def test_the_temporary_clone_is_removed_after_an_error(self, tmp_path: Path, scratch: Path) -> None:
        remote = GitRemote(str(bare(tmp_path / "gitops.git")))
        with pytest.raises(KeyboardInterrupt), open_repository(remote):
            raise KeyboardInterrupt
        assert list(scratch.iterdir()) == []


class TestPushing:
    def test_a_commit_of_another_client_is_never_overwritten(self, tmp_path: Path) -> None:
        folder = bare(tmp_path / "gitops.git")
        push_from_another_clone(folder, "main", {"a": "1\n"})
        with open_repository(GitRemote(str(folder))) as repository:
            commit = repository.commit(repository.head("main"), {"b": b"2\n"}, "mine\n")
            theirs = push_from_another_clone(folder, "main", {"c": "3\n"})
            with pytest.raises(PushedMeanwhileError, match="another client pushed to the branch main"):
                repository.push(commit, "main", repository.head("main"))
        assert git(folder, "rev-parse", "main") == theirs

    def test_a_concurrent_push_is_distinguished_from_a_refusal(self, tmp_path: Path) -> None:
        folder = bare(tmp_path / "gitops.git")
        push_from_another_clone(folder, "main", {"a": "1\n"})
        second = push_from_another_clone(folder, "other", {"a": "2\n"}, start="origin/main")
        with open_repository(GitRemote(str(folder))) as repository:
            commit = repository.commit(repository.head("main"), {"b": b"2\n"}, "mine\n")
            hook(folder, "update", f"git update-ref refs/heads/main {second}")
            with pytest.raises(PushedMeanwhileError):
                repository.push(commit, "main", repository.head("main"))
        assert git(folder, "rev-parse", "main") == second

    def test_a_branch_that_was_deleted_meanwhile_is_not_brought_back(self, tmp_path: Path) -> None:
        folder = bare(tmp_path / "gitops.git")
        push_from_another_clone(folder, "main", {"a": "1\n"})
        with open_repository(GitRemote(str(folder))) as repository:
            head = repository.head("main")
            commit = repository.commit(head, {"b": b"2\n"}, "mine\n")
            git(folder, "update-ref", "-d", "refs/heads/main")
            with pytest.raises(PushedMeanwhileError):
                repository.push(commit, "main", head)
        assert git(folder, "for-each-ref") == ""

    def test_branches_without_common_history_have_no_merge_base(self, tmp_path: Path) -> None:
        folder = bare(tmp_path / "gitops.git")
        push_from_another_clone(folder, "one", {"a": "1\n"})
        push_from_another_clone(folder, "two", {"a": "2\n"})
        with open_repository(GitRemote(str(folder))) as repository:
            one, two = (repository.head(name) or "" for name in ("one", "two"))
            assert repository.merge_base(one, one) == one
            assert repository.merge_base(one, two) is None
            assert not repository.contains_content(one, two)

    def test_a_branch_is_fetched_as_it_is_when_it_is_asked_for(self, tmp_path: Path) -> None:
        folder = bare(tmp_path / "gitops.git")
        push_from_another_clone(folder, "main", {"a": "1\n"})
        push_from_another_clone(folder, "gone", {"a": "2\n"})
        with open_repository(GitRemote(str(folder))) as repository:
            newer = push_from_another_clone(folder, "main", {"b": "2\n"})
            git(folder, "update-ref", "-d", "refs/heads/gone")
            assert repository.head("main") == newer
            assert repository.head("gone") is None
            assert repository.head("never") is None

    def test_after_a_fetch_a_branch_may_have_moved_gone_or_be_a_folder(self, tmp_path: Path) -> None:
        folder = bare(tmp_path / "gitops.git")
        first = push_from_another_clone(folder, "a", {"a": "1\n"})
        with open_repository(GitRemote(str(folder))) as repository:
            assert repository.head("a") == first
            git(folder, "update-ref", "-d", "refs/heads/a")
            below = push_from_another_clone(folder, "a/b", {"a": "2\n"})
            repository.fetch()
            assert (repository.branches(), repository.head("a"), repository.head("a/b")) == (["a/b"], None, below)
            moved = push_from_another_clone(folder, "a/b", {"a": "3\n"})
            repository.fetch()
            assert repository.head("a/b") == moved
            assert repository.read(moved, "a") == b"3\n"

    def test_the_error_about_a_refusal_has_the_reason_of_the_server(self, tmp_path: Path) -> None:
        folder = bare(tmp_path / "gitops.git")
        hook(folder, "pre-receive", "echo 'main is protected: open a merge request' >&2; exit 1")
        with pytest.raises(KfpEdgeError) as error:
            push_file(GitRemote(str(folder)))
        assert not isinstance(error.value, PushedMeanwhileError)
        assert str(error.value) == (
            f"{folder} refuses the push to the branch main: "
            "main is protected: open a merge request | pre-receive hook declined"
        )
        assert git(folder, "for-each-ref") == ""


class TestAServerWithALogin:
    @pytest.fixture
    def server(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[git_repositories.GitServer]:
        push_from_another_clone(bare(tmp_path / "team" / "gitops.git"), "main", {"a": "1\n"})
        with git_server(tmp_path, token=TOKEN) as server:
            monkeypatch.setenv("KFP_EDGE_GIT_CA_FILE", str(server.certificate))
            yield server

    def test_the_right_token_reads_and_writes(
        self, server: git_repositories.GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KFP_EDGE_GIT_TOKEN", TOKEN)
        commit = push_file(GitRemote.parse(server.url("team/gitops.git")), "b")
        assert git(tmp_path / "team" / "gitops.git", "rev-parse", "main") == commit

    def test_the_token_comes_from_a_file(
        self, server: git_repositories.GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "token").write_text(f"{TOKEN}\n")
        monkeypatch.setenv("KFP_EDGE_GIT_TOKEN_FILE", str(tmp_path / "token"))
        with open_repository(GitRemote.parse(server.url("team/gitops.git"))) as repository:
            assert repository.branches() == ["main"]

    def test_the_user_name_is_configurable(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        bare(tmp_path / "gitops.git")
        monkeypatch.setenv("KFP_EDGE_GIT_USERNAME", "robot")
        monkeypatch.setenv("KFP_EDGE_GIT_TOKEN", TOKEN)
        with git_server(tmp_path, username="robot", token=TOKEN) as server:
            monkeypatch.setenv("KFP_EDGE_GIT_CA_FILE", str(server.certificate))
            push_file(GitRemote.parse(server.url("gitops.git")))
        assert git(tmp_path / "gitops.git", "show", "main:a.txt") == "a"

    def test_the_error_about_a_wrong_token_does_not_show_it(
        self, server: git_repositories.GitServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KFP_EDGE_GIT_TOKEN", "wr0ng-t0ken")
        with pytest.raises(KfpEdgeError, match="refuses access: the token is wrong") as error:
            push_file(GitRemote.parse(server.url("team/gitops.git")))
        assert "wr0ng-t0ken" not in "".join(traceback.format_exception(error.value))

    def test_a_missing_token_is_an_error(self, server: git_repositories.GitServer) -> None:
        with pytest.raises(KfpEdgeError, match=r"no token is set; .*KFP_EDGE_GIT_TOKEN"):
            push_file(GitRemote.parse(server.url("team/gitops.git")))

    def test_the_token_does_not_follow_a_redirect_to_another_host(
        self, server: git_repositories.GitServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KFP_EDGE_GIT_TOKEN", TOKEN)
        with pytest.raises(KfpEdgeError, match="refuses access"):
            push_file(GitRemote.parse(server.url("moved/team/gitops.git")))
        assert {login for host, login in server.seen if host == "localhost"} == {""}

    def test_a_certificate_of_an_unknown_ca_is_refused(
        self, server: git_repositories.GitServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("KFP_EDGE_GIT_CA_FILE")
        with pytest.raises(KfpEdgeError, match="certificate"):
            push_file(GitRemote.parse(server.url("team/gitops.git")))

    def test_a_repository_that_the_server_does_not_have_is_an_error(
        self, server: git_repositories.GitServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KFP_EDGE_GIT_TOKEN", TOKEN)
        with pytest.raises(KfpEdgeError, match=r"team/nowhere\.git.* not found"):
            push_file(GitRemote.parse(server.url("team/nowhere.git")))

    def test_access_is_checked_without_a_change(
        self, server: git_repositories.GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KFP_EDGE_GIT_TOKEN", TOKEN)
        before = git(tmp_path / "team" / "gitops.git", "for-each-ref")
        assert check_access(GitRemote.parse(server.url("team/gitops.git"))) == ["main"]
        assert git(tmp_path / "team" / "gitops.git", "for-each-ref") == before

    def test_a_wrong_token_is_found_without_a_change(
        self, server: git_repositories.GitServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KFP_EDGE_GIT_TOKEN", "wr0ng-t0ken")
        with pytest.raises(KfpEdgeError, match="refuses access: the token is wrong"):
            check_access(GitRemote.parse(server.url("team/gitops.git")))

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("KFP_EDGE_GIT_CA_FILE", "nowhere.pem"),
            ("KFP_EDGE_GIT_TOKEN_FILE", "nowhere.txt"),
            ("KFP_EDGE_GIT_TOKEN", "two\nlines"),
        ],
    )
    def test_the_error_about_an_invalid_variable_names_it(
        self, name: str, value: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(name, value)
        with pytest.raises(KfpEdgeError, match=f"{name} "), open_repository(GitRemote("https://127.0.0.1:1/a.git")):
            pass


def test_a_server_that_cannot_be_reached_says_what_to_check() -> None:
    with pytest.raises(KfpEdgeError, match=r"git\.invalid/a\.git: its server cannot be reached; check its address"):
        check_access(GitRemote("https://git.invalid/a.git"))


def test_an_empty_repository_can_be_pushed_to(tmp_path: Path) -> None:
    assert check_access(GitRemote.parse(str(bare(tmp_path / "empty.git")))) == []

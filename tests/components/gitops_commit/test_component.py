"""The component: its report and its outputs."""

from pathlib import Path

import pytest

from kfp_edge.components.gitops_commit.report import MAX_DIFF_LINES, render_report
from kfp_edge.gitops.changes import Change
from support.bundles import tiny_bundle
from support.git_repositories import git, git_server
from support.images import layered_image
from support.release_commits import DIGESTS, REVIEW, commit, released


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

"""`fleet render`: what a site gets, from a checkout and from a commit."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from kfp_edge.cli.app import app
from kfp_edge.errors import KfpEdgeError
from kfp_edge.fleet.render import render_site
from kfp_edge.git.remote import GitRemote
from kfp_edge.git.repository import open_repository
from kfp_edge.gitops.tree import Commit
from support import git_repositories
from support.fleets import DIGESTS, site_with, write_files, write_fleet
from support.git_repositories import bare, push_from_another_clone


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    return write_fleet(tmp_path / "fleet", [site_with("hall-1"), site_with("hall-2", "all")])


def test_it_prints_the_objects_of_the_site(fleet: Path) -> None:
    result = CliRunner().invoke(app, ["fleet", "render", "hall-1", "-C", str(fleet)])
    assert result.exit_code == 0
    assert f"image: quay.io/team/pump@{DIGESTS[0]}" in result.output
    assert "kfp-edge.io/site: hall-1" in result.output


def test_a_commit_gives_the_same_as_its_checkout(fleet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git_repositories.isolate(monkeypatch, tmp_path)
    texts = {path.relative_to(fleet).as_posix(): path.read_text() for path in fleet.rglob("*") if path.is_file()}
    folder = bare(tmp_path / "fleet.git")
    commit = push_from_another_clone(folder, "main", texts)
    with open_repository(GitRemote(str(folder))) as repository:
        assert render_site(Commit(repository, commit), "hall-2") == render_site(fleet, "hall-2")


def test_an_unknown_site_is_a_sentence_with_what_was_probably_meant(fleet: Path) -> None:
    with pytest.raises(KfpEdgeError, match=r"sites/hal-1/kustomization.yaml: is missing; did you mean hall-1\?"):
        render_site(fleet, "hal-1")


def test_what_kustomize_refuses_is_a_sentence_with_its_reason(fleet: Path) -> None:
    write_files(fleet, {"models/pump/base/service.yaml": "kind: Service\n"})
    with pytest.raises(KfpEdgeError) as error:
        render_site(fleet, "hall-1")
    assert str(error.value).startswith("kustomize cannot render sites/hall-1: ")
    assert str(fleet) not in str(error.value)


def test_without_kustomize_and_kubectl_it_says_what_to_install(
    fleet: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(KfpEdgeError, match="neither kustomize nor kubectl is installed"):
        render_site(fleet, "hall-1")

"""`fleet render`: what a site gets, from a checkout and from a commit."""

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from kfp_edge.cli.app import app
from kfp_edge.errors import KfpEdgeError
from kfp_edge.fleet.rendering import render_all
from kfp_edge.fleet.rendering.render import render_site
from kfp_edge.fleet.rendering.render_all import render_sites
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


def test_a_site_without_a_model_gets_nothing_and_the_command_says_so(tmp_path: Path) -> None:
    folder = write_fleet(tmp_path, [site_with("hall-1", models=[])])
    result = CliRunner().invoke(app, ["fleet", "render", "hall-1", "-C", str(folder)])
    assert (result.exit_code, result.stdout.strip()) == (0, "")
    assert "names no model" in result.stderr


def test_a_commit_gives_the_same_as_its_checkout(fleet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git_repositories.isolate(monkeypatch, tmp_path)
    texts = {path.relative_to(fleet).as_posix(): path.read_text() for path in fleet.rglob("*") if path.is_file()}
    folder = bare(tmp_path / "fleet.git")
    push_from_another_clone(folder, "main", texts)
    with open_repository(GitRemote(str(folder))) as repository:
        commit = Commit(repository, repository.head("main") or "")
        assert render_site(commit, "hall-2") == render_site(fleet, "hall-2")


def test_all_sites_are_rendered_as_each_by_itself(tmp_path: Path) -> None:
    sites = [
        site_with("hall-1", labels={"region": "south"}),
        site_with("hall-2", "all", namespace="lines"),
        site_with("007"),  # what YAML reads as a number or a truth value without quotes
        site_with("no", namespace="on"),
        site_with("1e3", registry="registry.hall-3:5000", pullSecret="123"),
        site_with("hall-4", registry="registry.hall-4.example", pullSecret="login"),
        site_with("hall-5", delivery="podman", cluster=""),
        site_with("own"),
        site_with("idle", models=[]),
    ]
    folder = write_fleet(tmp_path, sites)
    operation = "- op: replace\n        path: /spec/replicas\n        value: 2\n"
    patch = f"patches:\n  - target: {{kind: Deployment}}\n    patch: |-\n      {operation}"
    runs = "sites/own/kustomization.yaml"
    write_files(folder, {runs: (folder / runs).read_text() + patch})
    everything = dict(render_sites(folder))
    assert sorted(everything) == sorted(site.name for site in sites)
    for name, text in everything.items():
        assert list(yaml.safe_load_all(text)) == list(yaml.safe_load_all(render_site(folder, name))), name
    assert "replicas: 2" in everything["own"]


def test_the_command_writes_all_sites_into_a_folder(fleet: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["fleet", "render", "--output", str(tmp_path / "out"), "-C", str(fleet)])
    assert result.output == f"wrote 2 sites to {tmp_path / 'out'}\n"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["hall-1.yaml", "hall-2.yaml"]


@pytest.mark.parametrize("arguments", [[], ["hall-1", "--output", "out"]])
def test_the_command_takes_one_site_or_a_folder_for_all(fleet: Path, arguments: list[str]) -> None:
    result = CliRunner().invoke(app, ["fleet", "render", *arguments, "-C", str(fleet)])
    assert result.exit_code == 2
    assert "name a SITE, or a folder for all sites with --output." in result.output


def test_many_sites_take_one_run_of_kustomize_for_each_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_fleet(
        tmp_path, [site_with(f"hall-{number}", "canary" if number < 5 else "all") for number in range(50)]
    )
    runs = []
    real = render_all.build
    monkeypatch.setattr(render_all, "build", lambda folder: runs.append(folder) or real(folder))
    assert len(list(render_sites(folder))) == 50
    assert len(runs) == 2


def test_an_unknown_site_is_a_sentence_with_what_was_probably_meant(fleet: Path) -> None:
    with pytest.raises(KfpEdgeError, match=r"there is no site hal-1; did you mean hall-1\? name a folder of sites/\."):
        render_site(fleet, "hal-1")


def test_a_site_in_a_folder_that_is_no_repository_of_a_fleet(fleet: Path) -> None:
    with pytest.raises(KfpEdgeError, match=f"fleet.yaml: is missing in {fleet / 'sites'}; name the checkout"):
        render_site(fleet / "sites", "hall-1")


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

"""`fleet init`: a new repository that passes its check, and nothing of another one is lost."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from kfp_edge.cli.app import app
from kfp_edge.errors import ParameterError
from kfp_edge.fleet.check.check import check_repository
from kfp_edge.fleet.contracts import Serving
from kfp_edge.fleet.documents import read_fleet
from kfp_edge.fleet.repository.new_repository import create_repository
from kfp_edge.gitops.tree import Checkout

URL = "https://git.example/fleet"


def init(folder: Path, *options: str) -> list[str]:
    result = CliRunner().invoke(app, ["fleet", "init", URL, "-C", str(folder), *options])
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


def test_it_writes_a_fleet_of_one_ring_for_a_hub(tmp_path: Path) -> None:
    written = init(tmp_path)
    assert sorted(written) == [
        "README.md",
        "argocd/hub/applicationset.yaml",
        "argocd/hub/kustomization.yaml",
        "argocd/project/appproject.yaml",
        "argocd/project/kustomization.yaml",
        "argocd/project/sites.yaml",
        "fleet.yaml",
    ]
    assert read_fleet(Checkout(tmp_path)).ring_names == ("canary",)
    assert check_repository(tmp_path) == []


def test_what_has_no_default_is_there_as_a_comment_that_becomes_valid(tmp_path: Path) -> None:
    init(tmp_path)
    path = tmp_path / "fleet.yaml"
    path.write_text(path.read_text().replace("\n#metrics", "\nmetrics").replace("\n#pullRequests", "\npullRequests"))
    fleet = read_fleet(Checkout(tmp_path))
    assert fleet.metrics is not None
    assert fleet.pull_requests is not None


def test_rings_are_in_the_order_in_which_they_are_named(tmp_path: Path) -> None:
    init(tmp_path, "--ring", "pilot", "--ring", "007", "--ring", "all", "--branch", "prod", "--name", "plant")
    fleet = read_fleet(Checkout(tmp_path))
    assert (fleet.name, fleet.branch, fleet.ring_names) == ("plant", "prod", ("pilot", "007", "all"))


def test_each_agent_has_its_files(tmp_path: Path) -> None:
    written = init(tmp_path, "--agent", "podman", "--agent", "acm")
    assert {path.partition("/")[0] for path in written} == {"README.md", "fleet.yaml", "acm", "argocd", "podman"}
    assert "argocd/hub/applicationset.yaml" not in written


def test_models_are_deployments_or_inference_services(tmp_path: Path) -> None:
    init(tmp_path / "usual")
    assert read_fleet(Checkout(tmp_path / "usual")).serving == Serving.DEPLOYMENT
    init(tmp_path / "kserve", "--serving", "kserve")
    assert read_fleet(Checkout(tmp_path / "kserve")).serving == Serving.KSERVE
    assert check_repository(tmp_path / "kserve") == []


def test_a_way_of_serving_that_is_not_known_is_a_sentence(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["fleet", "init", URL, "-C", str(tmp_path), "--serving", "kserv"])
    assert "serving is 'kserv'; did you mean kserve?" in str(result.exception)
    assert list(tmp_path.iterdir()) == []


def test_a_readme_that_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("ours\n")
    assert "README.md" not in init(tmp_path)
    assert (tmp_path / "README.md").read_text() == "ours\n"


@pytest.mark.parametrize(
    ("name", "branch", "rings", "agents", "message"),
    [
        ("Plant", "main", (), (), "name is 'Plant'; it must be a DNS label"),
        ("plant", "a..b", (), (), "cannot be the name of a git branch"),
        ("plant", "main", ("a", "a"), (), "fleet.yaml: has 2 rings called a; every ring needs a name of its own"),
        ("plant", "main", ("Ring 1",), (), r"rings\[0\].name is 'Ring 1'; it must be a DNS label"),
        ("plant", "main", (), ("flux",), "agent is 'flux'; choose one of hub, acm, site, podman"),
    ],
)
def test_a_name_that_cannot_be_used_is_a_sentence_and_nothing_is_written(
    tmp_path: Path, name: str, branch: str, rings: tuple[str, ...], agents: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        create_repository(tmp_path, URL, name, branch, rings, agents)
    assert list(tmp_path.iterdir()) == []


def test_credentials_in_the_address_are_refused_and_not_printed(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="repository is .*; it must not contain credentials") as caught:
        create_repository(tmp_path, "https://robot:s3cret@git.example/fleet.git", "plant", "main", (), ())
    assert "s3cret" not in str(caught.value)


def test_a_file_that_is_there_is_not_overwritten_and_nothing_is_written(tmp_path: Path) -> None:
    ours = tmp_path / "argocd/hub/applicationset.yaml"
    ours.parent.mkdir(parents=True)
    ours.write_text("ours\n")
    with pytest.raises(ParameterError, match="applicationset.yaml exists, and is not overwritten"):
        create_repository(tmp_path, URL, "plant", "main", (), ())
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [ours]


def test_a_fleet_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    init(tmp_path)
    with pytest.raises(ParameterError, match="fleet.yaml exists: there is a fleet already"):
        create_repository(tmp_path, URL, "plant", "main", (), ())

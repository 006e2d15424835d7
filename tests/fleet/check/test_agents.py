"""`fleet check` of what delivers to the sites: Argo CD, ACM and the timer of a site with Podman."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from kfp_edge.cli.app import app
from kfp_edge.fleet.repository.new_repository import Agent
from support.fleets import DIGESTS, URL, findings, replace, site_with, write_files, write_fleet

SITE = "sites/hall-1/site.yaml"
HUB, PROJECT, ACM = "argocd/hub/applicationset.yaml", "argocd/project/appproject.yaml", "acm/applicationset.yaml"


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    sites = [site_with("hall-1"), site_with("hall-2", "all", delivery="podman", cluster="")]
    return write_fleet(tmp_path / "fleet", sites, agents=tuple(Agent))


def test_windows_that_were_not_written_to_the_project_are_found_and_written(fleet: Path) -> None:
    window = 'windows:\n  - schedule: "0 22 * * *"\n    duration: 4h\n'
    write_files(fleet, {SITE: (fleet / SITE).read_text() + window})
    (found,) = findings(fleet)
    assert found.endswith(
        "argocd/project/sites.yaml: does not fit the sites, or this version of kfp-edge; write it with `kfp-edge fleet "
        "check --write`."
    )
    result = CliRunner().invoke(app, ["fleet", "check", "--write", "-C", str(fleet)])
    assert result.output == "wrote argocd/project/sites.yaml\nOK\n"


def test_the_application_of_a_site_that_is_gone_is_a_warning(tmp_path: Path) -> None:
    fleet = write_fleet(tmp_path, [site_with("hall-1", delivery="site")], rings=("canary",))
    assert findings(fleet) == []
    (fleet / "argocd/site/hall-1.yaml").rename(fleet / "argocd/site/hall-9.yaml")
    found = findings(fleet)
    assert "warning: argocd/site/hall-9.yaml: is of no site with `delivery: site`; remove it." in found
    assert any(each.startswith("error: argocd/site/hall-1.yaml: is missing; write it with") for each in found)


def test_a_digest_in_an_application_set_is_found(fleet: Path) -> None:
    path = "argocd/hub/applicationset.yaml"
    write_files(fleet, {path: (fleet / path).read_text() + f"# {DIGESTS[0]}\n"})
    (found,) = findings(fleet)
    assert "has a digest, which belongs into a ring" in found


def test_what_follows_the_branch_of_the_fleet_before_is_a_warning(fleet: Path) -> None:
    replace(fleet, "fleet.yaml", 'branch: "main"', "branch: live")
    assert [each.partition(", line")[0] for each in findings(fleet)] == [
        f"warning: {ACM}",
        f"warning: {HUB}",
        "warning: podman/kfp-edge-site.env",
    ]
    assert findings(fleet)[1].endswith(
        "line 16: follows the branch main, and `branch` of fleet.yaml is live; correct one of them."
    )


def test_what_follows_another_repository_is_a_warning(fleet: Path) -> None:
    replace(fleet, "fleet.yaml", URL, "https://git.example/moved.git")
    found = findings(fleet)
    assert [each.partition(", line")[0] for each in found] == [
        f"warning: {ACM}",
        f"warning: {HUB}",
        f"warning: {PROJECT}",
        "warning: podman/kfp-edge-site.env",
    ]
    assert f"follows the repository {URL}, and `repository` of fleet.yaml is https://git.example/moved.git" in found[0]


@pytest.mark.parametrize(
    "address",
    [
        "git@git.example:fleet.git",
        "ssh://git@git.example/fleet.git",
        "https://git.example/fleet",
        "https://git.example/*",
        "{{ .repository }}",
    ],
)
def test_the_same_repository_by_another_address_passes(fleet: Path, address: str) -> None:
    for path in (HUB, PROJECT):
        replace(fleet, path, URL, address)
    assert findings(fleet) == []


def test_an_application_set_with_another_source_besides_passes(fleet: Path) -> None:
    values = "    - list: {elements: [{repoURL: 'https://git.example/values.git', revision: v1}]}\n"
    replace(fleet, HUB, "  generators:\n", f"  generators:\n{values}")
    assert findings(fleet) == []


def test_a_file_of_argo_cd_that_is_no_yaml_is_found(fleet: Path) -> None:
    write_files(fleet, {HUB: "spec: [\n"})
    assert [each for each in findings(fleet) if each.startswith(f"error: {HUB}, line 2: is not valid YAML")]

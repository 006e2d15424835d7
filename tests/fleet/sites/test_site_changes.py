"""`fleet add-site`, `remove-site` and `diff`: typed, all or nothing, and what they do to which sites."""

import shutil
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from kfp_edge.cli.app import app
from kfp_edge.fleet.check.check import check_repository
from kfp_edge.fleet.documents import read_site
from kfp_edge.fleet.rendering.render import render_site
from kfp_edge.fleet.repository.new_repository import Agent
from kfp_edge.gitops.tree import Checkout
from support.fleet_history import FleetClone, create_fleet
from support.fleets import DIGESTS, site_with
from support.git_repositories import git
from support.small_disks import run_on_small_disk

HEADER = "name,ring,delivery,models,labels,window,duration,time_zone,registry\n"


@pytest.fixture
def fleet(tmp_path: Path) -> FleetClone:
    return create_fleet(tmp_path, [site_with("hall-1"), site_with("hall-2", "all"), site_with("hall-3", "all")])


def run(fleet: FleetClone, command: str, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["fleet", command, *arguments, "-C", str(fleet.folder)])


def changed(fleet: FleetClone) -> list[str]:
    """Return the files that differ from the last commit."""
    return sorted(git(fleet.folder, "status", "--porcelain", "--untracked-files=all").split()[1::2])


def errors(fleet: FleetClone) -> list[str]:
    return [str(each) for each in check_repository(fleet.folder) if each.severity == "error"]


class TestAdd:
    def test_writes_the_files_of_a_site_that_the_check_takes(self, fleet: FleetClone) -> None:
        result = run(fleet, "add-site", "hall-9", "--ring", "all", "--label", "region=south")
        assert result.exit_code == 0, result.output
        assert {"sites/hall-9/kustomization.yaml", "sites/hall-9/site.yaml"} <= set(changed(fleet))
        site = read_site(Checkout(fleet.folder), "hall-9")
        assert (site.models, site.labels, site.cluster) == (("pump",), {"region": "south"}, "hall-9")
        assert errors(fleet) == []

    def test_takes_a_table(self, fleet: FleetClone, tmp_path: Path) -> None:
        table = tmp_path / "sites.csv"
        lines = (
            "hall-8,all,podman,pump,region=south hall=8,,,,",
            'hall-9,,,,,"0 22 * * *",4h,Europe/Berlin,r.local:5000',
        )
        table.write_text(HEADER + "\n".join(lines))
        result = run(fleet, "add-site", "--csv", str(table))
        assert result.exit_code == 0, result.output
        one, other = (read_site(Checkout(fleet.folder), name) for name in ("hall-8", "hall-9"))
        assert (one.delivery, one.cluster, one.labels) == ("podman", "", {"region": "south", "hall": "8"})
        assert (other.ring, other.registry, other.windows[0].time_zone) == ("canary", "r.local:5000", "Europe/Berlin")
        assert errors(fleet) == []

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("hall-9,al,,,,,,,", "line 3: fleet.yaml has no ring al; did you mean all"),
            ("hall-9,all,,fan,,,,,", "line 3: the ring all has no model fan; it has pump."),
            ("Hall 9,all,,,,,,,", "line 3: name 'Hall 9' must be a DNS label"),
            ("hall-1,all,,,,,,,", "line 3: sites/hall-1 exists already"),
            ("hall-8,all,,,,,,,", "the site hall-8 is there 2 times"),
            ("hall-9,all,push,,,,,,", "line 3: delivery is 'push'; choose one of hub, site, podman."),
            ("hall-9,all,,,south,,,,", "line 3: the label 'south' has no value; write KEY=VALUE."),
            ("hall-9,all,,,,0 1 * * *,,,", "line 3: the window '0 1 * * *' has no duration"),
            ("hall-9,all,,,,,4h,,", "line 3: the duration 4h has no window"),
            (
                "hall-9,all,,,,0 1 * * 7,4h,,",
                "line 3: windows.0.schedule '0 1 * * 7' must be a cron schedule that Argo",
            ),
            ("hall-9,all", "line 3 has 2 cells, and the header 9."),
            (",all,,,,,,,", "line 3: the name of the site is missing."),
        ],
    )
    def test_a_mistake_in_one_line_adds_none(self, fleet: FleetClone, tmp_path: Path, line: str, message: str) -> None:
        table = tmp_path / "sites.csv"
        table.write_text(f"{HEADER}hall-8,all,,,,,,,\n{line}\n")
        result = run(fleet, "add-site", "--csv", str(table))
        assert result.exit_code == 1
        assert message in str(result.exception)
        assert changed(fleet) == []

    def test_on_a_disk_that_is_full_half_way_adds_none(self, fleet: FleetClone, tmp_path: Path) -> None:
        table, disk = tmp_path / "sites.csv", tmp_path / "disk"
        table.write_text("name\n" + "".join(f"press-{number}\n" for number in range(20)))
        copy = disk / "fleet"
        command = f"{Path(sys.executable).with_name('kfp-edge')} fleet add-site --csv {table} -C {copy}"
        script = (
            f"cp -r {fleet.folder} {copy}\n"
            f"head -c $(( $(df --block-size=1 --output=avail {disk} | tail -n 1) - 40960 )) /dev/zero > {disk}/other\n"
            f"{command} || echo exit code $?\n"
            f"git -C {copy} status --porcelain --untracked-files=all --ignored"
        )
        done = run_on_small_disk(disk, "4m", script)
        assert done.stdout == "exit code 1\n"
        assert ": No space left on device; no file was changed; free some space and run again." in done.stderr

    def test_an_unknown_column_is_named(self, fleet: FleetClone, tmp_path: Path) -> None:
        table = tmp_path / "sites.csv"
        table.write_text("name,rings\nhall-9,all\n")
        assert "rings" in str(run(fleet, "add-site", "--csv", str(table)).exception)

    @pytest.mark.parametrize("delimiter", [";", "\t"])
    def test_takes_the_tables_of_spreadsheets(self, fleet: FleetClone, tmp_path: Path, delimiter: str) -> None:
        table = tmp_path / "sites.csv"
        rows = (["name", "ring", "window", "duration"], ["hall-8", "all", "0 22 * * 1,2", "4h"])
        table.write_text("\ufeff" + "".join(f"{delimiter.join(row)}\r\n" for row in rows))
        assert run(fleet, "add-site", "--csv", str(table)).exit_code == 0
        site = read_site(Checkout(fleet.folder), "hall-8")
        assert (site.ring, site.windows[0].schedule) == ("all", "0 22 * * 1,2")

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (b"name,ring\n", "has no site; add a line for each below the header."),
            ("name,labels\nhall-8,region=s\u00fcd\n".encode("latin-1"), "is not UTF-8 text; save it as CSV in UTF-8."),
        ],
    )
    def test_a_table_that_cannot_be_used_is_a_sentence(
        self, fleet: FleetClone, tmp_path: Path, data: bytes, message: str
    ) -> None:
        table = tmp_path / "sites.csv"
        table.write_bytes(data)
        assert str(run(fleet, "add-site", "--csv", str(table)).exception) == f"{table} {message}"
        assert changed(fleet) == []

    def test_a_secret_that_cannot_be_is_refused(self, fleet: FleetClone) -> None:
        result = run(fleet, "add-site", "hall-8", "--pull-secret", "Site Secret")
        assert "pullSecret 'Site Secret' must be the name of a Secret" in str(result.exception)

    def test_a_table_that_is_not_there_is_a_sentence(self, fleet: FleetClone) -> None:
        assert "cannot read sitse.csv: No such file or directory." in str(
            run(fleet, "add-site", "--csv", "sitse.csv").exception
        )

    def test_a_column_that_is_there_twice_is_refused(self, fleet: FleetClone, tmp_path: Path) -> None:
        table = tmp_path / "sites.csv"
        table.write_text("name,ring,name\nhall-8,all,hall-9\n")
        message = str(run(fleet, "add-site", "--csv", str(table)).exception)
        assert message.endswith("sites.csv has 2 columns name; keep one of them.")

    def test_neither_a_name_nor_a_table_is_refused(self, fleet: FleetClone) -> None:
        assert "name a site, or a table" in str(run(fleet, "add-site").exception)

    def test_nothing_is_written_while_the_file_of_another_site_is_broken(self, fleet: FleetClone) -> None:
        (fleet.folder / "sites/hall-2/site.yaml").write_text("name: [hall-2\n")
        result = run(fleet, "add-site", "hall-9")
        assert "sites/hall-2/site.yaml, line 2: is not valid YAML" in str(result.exception)
        assert changed(fleet) == ["sites/hall-2/site.yaml"]


class TestWhatDelivers:
    def test_comes_with_the_first_site_that_needs_it(self, fleet: FleetClone) -> None:
        result = run(fleet, "add-site", "hall-9", "--delivery", "podman")
        assert "podman/kfp-edge-site" in result.output.splitlines()
        assert "KFP_EDGE_SITE=\n" in (fleet.folder / "podman/kfp-edge-site.env").read_text()
        assert errors(fleet) == []

    def test_comes_to_a_hub_too_with_the_windows_of_its_sites(self, tmp_path: Path) -> None:
        fleet = create_fleet(tmp_path, [site_with("hall-1", delivery="podman", cluster="")], agents=[Agent.PODMAN])
        result = run(fleet, "add-site", "hall-9", "--window", "0 22 * * *", "--duration", "4h")
        assert result.output.splitlines().count("argocd/project/sites.yaml") == 1
        assert (fleet.folder / "argocd/hub/applicationset.yaml").exists()
        assert "0 22 * * *" in (fleet.folder / "argocd/project/sites.yaml").read_text()
        assert errors(fleet) == []

    def test_that_somebody_keeps_elsewhere_does_not_come_back_with_each_site(self, fleet: FleetClone) -> None:
        shutil.rmtree(fleet.folder / "argocd")
        assert run(fleet, "add-site", "hall-9").exit_code == 0
        assert not (fleet.folder / "argocd").exists()

    def test_is_not_written_beside_that_of_acm(self, tmp_path: Path) -> None:
        fleet = create_fleet(tmp_path, [], agents=[Agent.ACM])
        assert run(fleet, "add-site", "hall-9").exit_code == 0
        assert not (fleet.folder / "argocd/hub").exists()


class TestRemove:
    def test_deletes_the_files_of_a_site_and_leaves_the_others(self, fleet: FleetClone) -> None:
        assert run(fleet, "remove-site", "hall-2").exit_code == 0
        assert {"sites/hall-2/kustomization.yaml", "sites/hall-2/site.yaml"} <= set(changed(fleet))
        assert (fleet.folder / "sites/hall-3/site.yaml").exists()
        assert errors(fleet) == []

    def test_a_site_whose_file_is_broken_can_be_removed_and_another_one_not(self, fleet: FleetClone) -> None:
        (fleet.folder / "sites/hall-2/site.yaml").write_text("name: [hall-2\n")
        result = run(fleet, "remove-site", "hall-3")
        assert "sites/hall-2/site.yaml, line 2: is not valid YAML" in str(result.exception)
        assert changed(fleet) == ["sites/hall-2/site.yaml"]
        assert run(fleet, "remove-site", "hall-2").exit_code == 0
        assert errors(fleet) == []

    def test_an_unknown_site_removes_none(self, fleet: FleetClone) -> None:
        result = run(fleet, "remove-site", "hall-2", "hall-33")
        assert "there is no site hall-33; did you mean hall-3" in str(result.exception)
        assert changed(fleet) == []


class TestDiff:
    def test_a_release_changes_the_sites_of_its_ring_in_the_same_way(self, fleet: FleetClone) -> None:
        path = fleet.folder / "rings/all/pump/kustomization.yaml"
        path.write_text(path.read_text().replace(DIGESTS[0], DIGESTS[1]))
        output = run(fleet, "diff").stdout
        assert output.startswith("2 sites: hall-2, hall-3\n")
        assert f"+        image: quay.io/team/pump@{DIGESTS[1]}" in output
        assert output.endswith("1 file changed, 2 sites of those rendered.\n")

    def test_a_change_of_the_model_reaches_every_site(self, fleet: FleetClone) -> None:
        path = fleet.folder / "models/pump/base/deployment.yaml"
        path.write_text(path.read_text().replace("replicas: 1", "replicas: 2"))
        assert run(fleet, "diff").stdout.startswith("3 sites: hall-1, hall-2, hall-3\n")

    def test_a_comment_changes_nothing(self, fleet: FleetClone) -> None:
        path = fleet.folder / "sites/hall-1/kustomization.yaml"
        path.write_text(f"# ours\n{path.read_text()}")
        assert run(fleet, "diff").stdout == (
            "1 site: hall-1\n  no object changes\n1 file changed, 0 sites of those rendered.\n"
        )

    def test_a_site_that_is_removed_goes_on_running_what_it_runs(self, fleet: FleetClone) -> None:
        run(fleet, "remove-site", "hall-2")
        output = run(fleet, "diff").stdout
        assert "\n1 site: hall-2, no longer in the fleet; what runs there goes on running.\n" in output
        assert "hall-3" not in output

    def test_a_branch_is_compared_in_place_of_the_checkout(self, fleet: FleetClone) -> None:
        git(fleet.folder, "push", "--quiet", "origin", "HEAD:work")
        assert "0 files changed" in run(fleet, "diff", "--branch", "work").stdout
        assert "has no branch works; did you mean work" in str(run(fleet, "diff", "--branch", "works").exception)

    def test_a_site_that_kustomize_refuses_is_shown_with_the_reason(self, fleet: FleetClone) -> None:
        (fleet.folder / "sites/hall-1/kustomization.yaml").write_text("resources: [missing]\n")
        assert "+# kustomize cannot render sites/hall-1: " in run(fleet, "diff").stdout

    def test_no_more_sites_are_rendered_than_asked_for(self, fleet: FleetClone) -> None:
        path = fleet.folder / "rings/all/pump/kustomization.yaml"
        path.write_text(path.read_text().replace(DIGESTS[0], DIGESTS[1]))
        assert "1 more site not rendered" in run(fleet, "diff", "--limit", "1").stdout


class TestAddModel:
    @pytest.fixture
    def two_models(self, fleet: FleetClone) -> FleetClone:
        """The ring `all` has a second model that none of its sites runs."""
        fleet.release("all", DIGESTS[1], 1, model="fan")
        return fleet

    def test_gives_it_to_all_sites_of_a_ring(self, two_models: FleetClone) -> None:
        result = run(two_models, "add-model", "fan", "--ring", "all")
        assert result.exit_code == 0, result.output
        tree = Checkout(two_models.folder)
        assert [read_site(tree, name).models for name in ("hall-1", "hall-2", "hall-3")] == [
            ("pump",),
            ("pump", "fan"),
            ("pump", "fan"),
        ]
        assert f"quay.io/team/fan@{DIGESTS[1]}" in render_site(two_models.folder, "hall-2")
        assert errors(two_models) == []

    def test_keeps_what_people_wrote_and_does_nothing_twice(self, two_models: FleetClone) -> None:
        path = two_models.folder / "sites/hall-2/kustomization.yaml"
        path.write_text(f"# ours\n{path.read_text()}")
        run(two_models, "add-model", "fan", "--site", "hall-2")
        text = path.read_text()
        assert text.startswith("# ours\n")
        assert "../../rings/all/fan" in text
        assert run(two_models, "add-model", "fan", "--site", "hall-2").exit_code == 0
        assert path.read_text() == text

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["fan", "--ring", "canary"], "the ring canary of hall-1 has no model fan; it has pump."),
            (["fan", "--site", "hall-22"], "there is no site hall-22; did you mean hall-2"),
            (["fan", "--ring", "al"], "fleet.yaml has no ring al"),
            (["fan"], "name the sites that get the model"),
        ],
    )
    def test_that_cannot_be_changes_nothing(self, two_models: FleetClone, arguments: list[str], message: str) -> None:
        result = run(two_models, "add-model", *arguments)
        assert result.exit_code != 0
        assert message in str(result.exception)
        assert changed(two_models) == []

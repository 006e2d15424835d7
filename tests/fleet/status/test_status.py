"""`fleet status`: what sites report to a real Prometheus, compared with what their rings should run."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kfp_edge.cli.app import app
from kfp_edge.errors import KfpEdgeError
from kfp_edge.fleet.contracts import Window
from kfp_edge.fleet.remote import FleetRemote
from kfp_edge.fleet.repository.new_repository import new_fleet
from kfp_edge.fleet.sites.files import render_site
from kfp_edge.fleet.status.page import write_page
from kfp_edge.fleet.status.presentation import format_age, row_of, summarize, to_json
from kfp_edge.fleet.status.status import FleetStatus, SiteStatus, State, read_files, read_status
from kfp_edge.fleet.status.windows import evaluate_windows, open_time
from kfp_edge.git.remote import GitRemote
from support.fleet_history import FleetClone, create_fleet
from support.fleets import DIGESTS, site_with
from support.git_repositories import bare
from support.prometheus import NOW, SCRAPED_EVERY, Served, prometheus_with

OLD, NEW, FOREIGN = DIGESTS[:3]
#: Open from 22 to 2 o'clock in Berlin: closed at noon.
NIGHT = {"schedule": "0 22 * * *", "duration": "4h", "timeZone": "Europe/Berlin"}
SERVERS = [
    Served("current", OLD, (30, 10)),
    Served("current", NEW, (10, 0), instance="pod-2:8080"),
    Served("drifted", OLD, (30, 0)),
    Served("changed", NEW, (10, 3)),
    Served("changed", FOREIGN, (3, 0), instance="pod-2:8080"),
    Served("night", OLD, (30, 0)),
    Served("offline", OLD, (100, 50)),
    Served("caught-up", NEW, (9, 4)),
    Served("just-gone", NEW, (9, 0.5)),
    Served("ill", NEW, (9, 0), is_ready=False),
    Served("replacing", OLD, (9, 0)),
    Served("replacing", NEW, (0.5, 0), instance="pod-2:8080"),
    Served("old-server", "", (9, 0)),
    Served("swapped", NEW, (60, 40)),
    Served("swapped", FOREIGN, (40, 2), instance="pod-2:8080"),
]
SITES = (
    "current",
    "drifted",
    "changed",
    "night",
    "offline",
    "caught-up",
    "just-gone",
    "ill",
    "replacing",
    "old-server",
    "silent",
)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with prometheus_with(tmp_path_factory.mktemp("prometheus"), SERVERS) as url:
        yield url


@pytest.fixture
def fleet(tmp_path: Path, prometheus: str) -> FleetClone:
    sites = [site_with(name, **({"windows": [NIGHT]} if name == "night" else {})) for name in SITES]
    made = create_fleet(tmp_path, [*sites, site_with("later", "all")], metrics=prometheus)
    made.release("canary", NEW, 12)
    return made


@pytest.fixture
def status(fleet: FleetClone) -> FleetStatus:
    with fleet.remote.open() as clone:
        return read_status(read_files(clone, "main"), NOW)


def of(status: FleetStatus, site: str) -> SiteStatus:
    (found,) = [each for each in status.sites if each.site.name == site]
    return found


@pytest.mark.parametrize(
    ("site", "state", "reported", "drift"),
    [
        ("current", State.CURRENT, (NEW,), None),
        ("drifted", State.DRIFTED, (OLD,), 12),
        ("changed", State.DRIFTED, (FOREIGN,), 3),
        ("night", State.WAITING, (OLD,), 12),
        ("offline", State.OFFLINE, (OLD,), 12),
        ("caught-up", State.OFFLINE, (NEW,), None),
        ("just-gone", State.CURRENT, (NEW,), None),
        ("ill", State.NOT_READY, (NEW,), None),
        ("replacing", State.DRIFTED, (OLD, NEW), 0),
        ("old-server", State.DRIFTED, ("",), 12),
        ("silent", State.NEVER_SEEN, (), 12),
    ],
)
def test_a_site_is_what_it_reports(
    status: FleetStatus, site: str, state: State, reported: tuple[str, ...], drift: float | None
) -> None:
    each = of(status, site)
    assert (each.state, each.reports.digests) == (state, reported)
    age = None if each.drift_since is None else (NOW - each.drift_since) / timedelta(hours=1)
    assert age == (None if drift is None else pytest.approx(drift, abs=0.1))


def test_when_a_site_was_last_seen_is_known_though_it_is_offline(status: FleetStatus) -> None:
    last_seen = of(status, "offline").reports.last_seen
    assert last_seen is not None
    assert (NOW - last_seen) / timedelta(hours=1) == pytest.approx(50, abs=0.1)


def test_when_a_site_was_last_seen_within_an_hour_is_exact(status: FleetStatus) -> None:
    assert of(status, "just-gone").reports.last_seen == NOW - timedelta(hours=0.5) - SCRAPED_EVERY


def test_when_an_offline_site_last_ran_what_it_should_is_known_though_that_is_days_ago(
    prometheus: str, tmp_path: Path
) -> None:
    fleet = create_fleet(tmp_path, [site_with("swapped")], metrics=prometheus)
    fleet.release("canary", NEW, 70)
    with fleet.remote.open() as clone:
        status = read_status(read_files(clone, "main"), NOW)
    (site,) = status.sites
    assert (site.state, site.reports.digests) == (State.OFFLINE, (FOREIGN,))
    assert site.drift_since is not None
    assert (NOW - site.drift_since) / timedelta(hours=1) == pytest.approx(40, abs=0.1)


def test_a_site_that_was_last_seen_before_the_horizon_counts_as_never_seen(fleet: FleetClone) -> None:
    with fleet.remote.open() as clone:
        status = read_status(read_files(clone, "main"), NOW, timedelta(hours=40))
    assert of(status, "offline").state == State.NEVER_SEEN


def test_each_ring_has_its_own_digest(status: FleetStatus) -> None:
    assert of(status, "current").wanted.image.digest == NEW
    assert of(status, "later").wanted.image.digest == OLD
    assert status.of_ring("all") == [of(status, "later")]


def test_the_digest_counts_since_the_commit_on_the_branch_and_later_commits_do_not_renew_it(fleet: FleetClone) -> None:
    fleet.commit({"rings/canary/pump/kustomization.yaml": f"# ours\n{_ring_text(fleet)}"}, 2)
    with fleet.remote.open() as clone:
        release = read_files(clone, "main").releases["canary", "pump"]
    assert NOW - release.since == timedelta(hours=12)


def _without_model(name: str, ring: str) -> bytes:
    return render_site(site_with(name, ring, models=[]), {})[f"sites/{name}/site.yaml"]


def _ring_text(fleet: FleetClone) -> str:
    return (fleet.folder / "rings/canary/pump/kustomization.yaml").read_text()


def test_the_page_has_every_site_and_the_urgent_ones_first(status: FleetStatus, tmp_path: Path) -> None:
    write_page(status, tmp_path / "fleet.html")
    page = (tmp_path / "fleet.html").read_text()
    positions = [page.index(f">{name}<") for name in ("ill", "drifted", "silent", "offline", "night", "current")]
    assert positions == sorted(positions)
    assert "10 sites" not in page  # 11 with the one of the other ring
    assert "<script" not in page


def test_an_image_that_no_site_has_reported_yet_is_named_by_its_digest_alone(fleet: FleetClone) -> None:
    fleet.release("canary", DIGESTS[5], 1)
    with fleet.remote.open() as clone:
        status = read_status(read_files(clone, "main"), NOW)
    row = row_of(of(status, "drifted"), status)
    assert status.versions == {OLD: "1.0.0", NEW: "1.0.0", FOREIGN: "1.0.0"}
    assert row[2] == DIGESTS[5].removeprefix("sha256:")[:12]
    assert row[3].startswith("1.0.0 (")


def test_json_has_whole_digests_and_times(status: FleetStatus) -> None:
    document = json.loads(json.dumps(to_json(status)))
    (current,) = [each for each in document["sites"] if each["site"] == "current"]
    assert current["wanted"] == NEW
    assert current["reported"] == [NEW]
    assert current["state"] == "up to date"
    assert datetime.fromisoformat(current["last_seen"]) == NOW
    assert document["summary"]["never seen"] == 2


class TestTheCommand:
    def run(self, fleet: FleetClone, *arguments: str) -> str:
        result = CliRunner().invoke(app, ["fleet", "status", "-C", str(fleet.folder), *arguments])
        assert result.exit_code == 0, result.output
        return result.stdout

    def test_prints_a_table_and_a_summary(self, fleet: FleetClone) -> None:
        output = self.run(fleet, "--within", "1d")
        (line,) = [line for line in output.splitlines() if " silent " in line]
        assert line.split()[:5] == ["canary", "silent", "pump", NEW.removeprefix("sha256:")[:12], "nothing"]
        assert output.splitlines()[-1].startswith("12 sites: ")

    def test_counts_sites_and_models_apart(self, status: FleetStatus) -> None:
        twice = replace(status, sites=tuple(each for each in status.sites if each.site.name == "current") * 2)
        assert summarize(twice) == "2 models at 1 site: 2 up to date"

    def test_counts_sites_without_a_model_of_all_rings_or_one(self, fleet: FleetClone) -> None:
        fleet.commit({"sites/new/site.yaml": _without_model("new", "all")}, 1)
        assert self.run(fleet).splitlines()[-1].endswith("; 1 site without a model")
        assert "without a model" not in self.run(fleet, "--ring", "canary")
        page = fleet.folder / "page.html"
        assert json.loads(self.run(fleet, "--json", "--ring", "all", "--html", str(page)))["without_model"] == ["new"]
        assert "Without a model: new." in page.read_text()

    def test_writes_json_and_a_page(self, fleet: FleetClone, tmp_path: Path) -> None:
        document = json.loads(self.run(fleet, "--json", "--ring", "all", "--html", str(tmp_path / "page.html")))
        assert [each["site"] for each in document["sites"]] == ["later"]
        assert (tmp_path / "page.html").exists()


class TestAMistake:
    def test_sites_of_which_nobody_says_what_should_run_are_named(self, tmp_path: Path) -> None:
        sites = [site_with("one"), site_with("two", "al"), site_with("three", models=["pump", "fan"])]
        with create_fleet(tmp_path, sites).remote.open() as clone:
            broken = read_files(clone, "main").broken
        assert broken == (
            "sites/three/site.yaml: the ring canary has no model fan. Nothing is known of it at that site.",
            "sites/two/site.yaml: ring is al, which fleet.yaml does not have. Nothing is known of that site.",
        )

    def test_a_ring_whose_file_is_broken_now_is_named_and_goes_on_with_what_it_had(self, tmp_path: Path) -> None:
        fleet = create_fleet(tmp_path, [site_with("one")])
        before = fleet.head()
        path = "rings/canary/pump/kustomization.yaml"
        commit = fleet.commit({path: "images: [\n"}, 1)
        with fleet.remote.open() as clone:
            files = read_files(clone, "main")
        (sentence,) = files.broken
        start = f"The commit {commit[:12]} is left out of the history of the ring: {path}, line 2, is not valid YAML: "
        assert sentence.startswith(start)
        assert files.releases["canary", "pump"].commit == before

    def test_an_address_that_only_argo_cd_can_use_names_the_option_for_another_one(self, tmp_path: Path) -> None:
        address = "git@git.example:fleet.git"
        fleet = create_fleet(tmp_path, [], fleet=new_fleet("plant", address, rings=("canary",)))
        with pytest.raises(KfpEdgeError, match="SSH address; .* If this machine has another address .* --url"):
            FleetRemote.of_checkout(fleet.folder)
        assert FleetRemote.of_checkout(fleet.folder, str(fleet.repository)).branch == "main"

    def test_a_repository_without_a_commit(self, tmp_path: Path) -> None:
        remote = FleetRemote(GitRemote(str(bare(tmp_path / "empty.git"))), "main")
        with remote.open() as clone, pytest.raises(KfpEdgeError, match="has no branch yet; push main to it first"):
            read_files(clone, "main")

    def test_metrics_that_are_not_named(self, tmp_path: Path) -> None:
        made = create_fleet(tmp_path, [site_with("hall-1")])
        with (
            made.remote.open() as clone,
            pytest.raises(KfpEdgeError, match="add `metrics: {prometheus: https://HOST}`"),
        ):
            read_status(read_files(clone, "main"), NOW)


class TestAWindow:
    window = Window.model_validate(NIGHT)

    @pytest.mark.parametrize(
        ("hour", "is_open", "until"),
        [(20, False, 21), (21, True, 25), (23, True, 25), (24, True, 25), (25, False, 45)],
    )
    def test_is_open_in_the_time_of_its_zone(self, hour: int, is_open: bool, until: int) -> None:
        midnight = datetime(2026, 11, 20, tzinfo=UTC)  # one o'clock in Berlin
        state = evaluate_windows([self.window], midnight + timedelta(hours=hour))
        assert (state.is_open, state.until) == (is_open, midnight + timedelta(hours=until))

    def test_without_one_a_site_may_always_change(self) -> None:
        assert evaluate_windows([], NOW).is_open

    def test_open_times_of_windows_that_overlap_count_once(self) -> None:
        later = Window.model_validate(NIGHT | {"schedule": "0 23 * * *"})
        assert open_time([self.window, later], NOW - timedelta(days=2), NOW) == timedelta(hours=10)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59, "59 s"), (3600, "1 h"), (3660, "1 h 1 min"), (90061, "1 d 1 h")]
)
def test_an_age_has_its_two_largest_units(seconds: int, text: str) -> None:
    assert format_age(timedelta(seconds=seconds)) == text

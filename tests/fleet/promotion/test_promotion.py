"""`fleet promote`: whether a ring's sites have shown enough, from a real Prometheus, and what is proposed then."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from kfp_edge.cli.app import app
from kfp_edge.errors import KfpEdgeError
from kfp_edge.fleet.contracts import Site
from kfp_edge.fleet.promotion.judgement import Verdict
from kfp_edge.fleet.promotion.promote import Rollout, promote
from support.fleet_history import FleetClone, create_fleet
from support.fleets import DIGESTS, site_with
from support.git_repositories import git, merge
from support.model_images import ModelImages, model_layer
from support.prometheus import NOW, Served, prometheus_with

OLD = DIGESTS[0]


def scenarios(new: str) -> dict[str, list[Served]]:
    """The servers at the sites of the first ring, by the name of what happens there."""
    return {
        "healthy": [Served("a", OLD, (60, 30)), Served("a", new, (30, 0)), Served("b", new, (29, 0))],
        "fresh": [Served("a", new, (30, 0)), Served("b", new, (10, 0))],
        "interrupted": [Served("a", new, (30, 20)), Served("a", new, (5, 0)), Served("b", new, (30, 0))],
        "behind": [Served("a", new, (30, 0)), Served("b", OLD, (30, 0))],
        # offline since the release, and back for half an hour
        "returned": [Served("a", new, (30, 0)), Served("b", OLD, (0.5, 0))],
        "offline": [Served("a", new, (30, 0)), Served("b", new, (30, 2))],
        "errors": [Served("a", new, (30, 0), errors=3), Served("b", new, (30, 0))],
        "few-requests": [Served("a", new, (30, 29.5), requests=2, errors=1, client_errors=0), *_quiet(new)],
        "client-errors": [Served("a", new, (30, 0), requests=100), Served("b", new, (30, 0))],
        "slow": [Served("a", new, (30, 0), latency=0.5), Served("b", new, (30, 0), latency=0.5)],
        "ill": [Served("a", new, (30, 0)), Served("b", new, (30, 0), is_ready=False)],
        # the version before failed at the same address
        "before": [Served("a", OLD, (60, 30.2), errors=30), Served("a", new, (30, 0)), Served("b", new, (30, 0))],
        "late-ready": [
            Served("a", new, (30, 0)),
            Served("b", new, (30, 10), is_ready=False),
            Served("b", new, (10, 0)),
        ],
        # an image that starts nowhere: the version before goes on
        "unstarted": [Served("a", OLD, (90, 0)), Served("b", OLD, (90, 0))],
        "silent": [],
    }


def _quiet(new: str) -> list[Served]:
    hours = {"a": (29.5, 0.0), "b": (30.0, 0.0)}
    return [Served(site, new, each, requests=0, client_errors=0) for site, each in hours.items()]


@pytest.fixture(scope="module")
def prometheus(images: ModelImages, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    servers = [
        Served(**{**vars(each), "site": f"{name}-{each.site}"})
        for name, servers in scenarios(images.new).items()
        for each in servers
    ]
    with prometheus_with(tmp_path_factory.mktemp("prometheus"), servers) as url:
        yield url


@dataclass(frozen=True)
class Case:
    fleet: FleetClone
    images: ModelImages

    def promote(self, hours_ago: float = 0, **options: Any) -> Rollout:
        now = NOW - timedelta(hours=hours_ago)
        return promote(self.fleet.remote, "pump", now, registry=self.images.registry, **options)

    def checks(self, rollout: Rollout) -> dict[str, str]:
        """Return what was measured of each check that was not met."""
        return {
            check.name: check.measured
            for judgement in rollout.judgements
            for check in judgement.checks
            if not check.passed
        }


@pytest.fixture
def start(tmp_path: Path, prometheus: str, images: ModelImages) -> Callable[..., Case]:
    """Start a fleet whose first ring has a new image by a commit of 31 hours ago, and the sites of a scenario."""

    def make(name: str, policy: str = "", sites: tuple[Site, ...] = (), released: float = 31) -> Case:
        canary = [site_with(f"{name}-a"), site_with(f"{name}-b")]
        fleet = create_fleet(tmp_path, [*canary, *(sites or [site_with("last", "all")])], metrics=prometheus)
        path = fleet.folder / "fleet.yaml"
        lines = path.read_text().splitlines()
        head, _, tail = "\n".join(lines).partition("    abort:\n      maxErrorRate: 1%\n      maxIllSites: 0%\n")
        path.write_text(f"{head}{policy}{tail}\n")
        fleet.release("canary", images.old, 900)
        fleet.release("all", images.old, 890)
        fleet.release("canary", images.new, released)
        return Case(fleet, images)

    return make


class TestARingThatIsHealthy:
    def test_goes_on_to_the_next_ring_on_a_branch_of_its_own(self, start: Callable[..., Case]) -> None:
        case = start("healthy")
        rollout = case.promote()
        assert rollout.verdict is Verdict.GO_ON, rollout.summary
        (proposed,) = rollout.proposed
        assert proposed.change.branch == "kfp-edge/pump/1.1.0@all"
        ring = case.fleet.show("rings/all/pump/kustomization.yaml", proposed.change.branch)
        assert case.images.new in ring
        assert case.images.old in case.fleet.show("rings/all/pump/kustomization.yaml")

    def test_records_the_decision_with_its_numbers_in_a_file_of_its_own(self, start: Callable[..., Case]) -> None:
        case = start("healthy")
        (proposed,) = case.promote().proposed
        branch = proposed.change.branch
        changed = git(case.fleet.repository, "diff", "--name-only", "main", branch).split()
        assert changed == ["audit/pump/20261120T120000Z-promote-all.json", "rings/all/pump/kustomization.yaml"]
        record = json.loads(case.fleet.show(changed[0], branch))
        assert record["after"] == f"quay.io/team/pump@{case.images.new}"
        assert record["before"] == f"quay.io/team/pump@{case.images.old}"
        assert record["version"] == "1.1.0"
        assert all(check["met"] for check in record["checks"])
        (soak,) = [check for check in record["checks"] if check["name"] == "soak time of ring canary"]
        assert soak["measured"] == "1 d 5 h at the site that ran it the shortest"

    def test_states_what_a_reviewer_approves(self, start: Callable[..., Case]) -> None:
        (proposed,) = start("healthy").promote().proposed
        body = proposed.body
        assert "| version | 1.0.0 | 1.1.0 |" in body
        assert f"| model (sha256) | {'0' * 64} | {'1' * 64} |" in body
        assert "1 site changes: `last`." in body
        assert "kfp-edge fleet rollback pump --ring all" in body
        assert "+        image: quay.io/team/pump@sha256" in body
        assert "| error rate of ring canary | yes | 0% of " in body

    def test_a_site_downloads_only_the_layers_that_it_lacks(self, start: Callable[..., Case]) -> None:
        (proposed,) = start("healthy").promote().proposed
        (row,) = [line for line in proposed.body.splitlines() if line.startswith("| a site downloads")]
        size = int(row.partition("(")[2].partition(" ")[0].replace(",", ""))
        assert len(model_layer("1.1.0")) < size < len(model_layer("1.1.0")) + 500

    def test_twice_is_one_commit(self, start: Callable[..., Case]) -> None:
        case = start("healthy")
        first = case.promote().proposed[0].change
        again = case.promote().proposed[0].change
        assert (again.commit, again.committed) == (first.commit, False)

    def test_goes_on_beside_the_file_of_a_site_that_a_person_broke(self, start: Callable[..., Case]) -> None:
        case = start("healthy", sites=(site_with("last", "all"), site_with("other", "all")))
        path = "sites/other/site.yaml"
        case.fleet.commit({path: (case.fleet.folder / path).read_text().replace("ring:", "rings:")}, 1)
        (proposed,) = case.promote().proposed
        (warning,) = proposed.warnings
        assert warning.startswith("sites/other/site.yaml, line ")
        assert "1 site changes: `last`." in proposed.body

    def test_after_the_merge_there_is_nothing_to_do(self, start: Callable[..., Case]) -> None:
        case = start("healthy")
        merge(case.fleet.repository, case.promote().proposed[0].change.branch)
        rollout = case.promote(ring="all")
        assert rollout.summary.startswith("The ring all has pump at ")
        assert not rollout.proposed

    def test_errors_of_the_version_before_do_not_count(self, start: Callable[..., Case]) -> None:
        rollout = start("before").promote()
        assert rollout.verdict is Verdict.GO_ON, rollout.summary

    def test_errors_of_clients_do_not_count(self, start: Callable[..., Case]) -> None:
        assert start("client-errors").promote().verdict is Verdict.GO_ON

    def test_few_requests_are_no_evidence_of_errors(self, start: Callable[..., Case]) -> None:
        assert start("few-requests").promote().verdict is Verdict.GO_ON


class TestARingThatHasNotShownEnough:
    @pytest.mark.parametrize(
        ("name", "check", "measured"),
        [
            ("fresh", "soak time of ring canary", "10 h 5 min at the site that ran it the shortest (1 site too short:"),
            ("interrupted", "soak time of ring canary", "15 h 10 min at the site that ran it the shortest"),
            ("late-ready", "soak time of ring canary", "10 h 5 min at the site that ran it the shortest"),
            (
                "returned",
                "sites of ring canary with the digest",
                "1 of 2 that are online and well (not yet returned-b)",
            ),
            ("offline", "offline sites of ring canary", "1 of 2 not seen for 1 h"),
            ("silent", "offline sites of ring canary", "2 of 2 not seen for 1 h"),
        ],
    )
    def test_waits_and_says_for_what(self, start: Callable[..., Case], name: str, check: str, measured: str) -> None:
        case = start(name)
        rollout = case.promote()
        assert rollout.verdict is Verdict.WAIT
        assert measured in case.checks(rollout)[check]
        assert measured in rollout.summary
        assert not rollout.proposed
        assert git(case.fleet.repository, "branch", "--list", "kfp-edge/*") == ""

    def test_a_site_that_people_bring_images_to_is_waited_for(self, start: Callable[..., Case]) -> None:
        case = start("behind", "    abort: {maxUpdateTime: null}\n")
        rollout = case.promote()
        assert rollout.verdict is Verdict.WAIT
        assert "1 of 2 that are online and well (not yet behind-b)" in rollout.summary

    def test_without_sites_it_waits(self, start: Callable[..., Case]) -> None:
        case = start("healthy")
        for site in ("healthy-a", "healthy-b"):
            text = (case.fleet.folder / f"sites/{site}/site.yaml").read_text()
            case.fleet.commit({f"sites/{site}/site.yaml": text.replace('ring: "canary"', 'ring: "all"')}, 20)
        rollout = case.promote()
        assert rollout.verdict is Verdict.WAIT
        assert "none that runs pump" in rollout.summary


class TestARolloutThatFails:
    @pytest.mark.parametrize(
        ("name", "policy", "reason"),
        [
            ("errors", "", "Error rate of ring canary: 2.4"),
            ("errors", "    abort: {maxErrorRate: 4%}\n", "Ill sites of ring canary: 1 of 2"),
            ("slow", "    abort: {maxLatencyMs: 200}\n", "99th percentile of the latency in ring canary: "),
            ("ill", "", "(ill-b: its server takes no requests)"),
            ("behind", "", "(behind-b: it has not taken the digest within 1 d)"),
        ],
    )
    def test_is_stopped_and_its_ring_goes_back(
        self, start: Callable[..., Case], name: str, policy: str, reason: str
    ) -> None:
        case = start(name, policy)
        rollout = case.promote()
        assert rollout.verdict is Verdict.ABORT
        assert reason in rollout.summary
        (proposed,) = rollout.proposed
        assert proposed.decision.action == "rollback"
        branch = f"kfp-edge/pump/rollback-{case.images.new[7:19]}@canary"
        assert proposed.change.branch == branch
        assert case.images.old in case.fleet.show("rings/canary/pump/kustomization.yaml", branch)
        assert reason in proposed.body
        branches = git(case.fleet.repository, "branch", "--list", "--format=%(refname:short)", "kfp-edge/*")
        assert branches == branch

    def test_is_stopped_though_its_soak_time_is_a_few_scrapes(self, start: Callable[..., Case]) -> None:
        case = start("errors")
        text = (case.fleet.folder / "fleet.yaml").read_text()
        case.fleet.commit({"fleet.yaml": text.replace("soakTime: 1d", "soakTime: 3m")}, 1)
        assert "error rate of ring canary" in case.checks(case.promote())

    def test_an_image_that_starts_nowhere_is_taken_back(self, start: Callable[..., Case]) -> None:
        case = start("unstarted")
        first = case.promote(hours_ago=30)
        assert first.verdict is Verdict.WAIT, first.summary
        rollout = case.promote()
        assert rollout.verdict is Verdict.ABORT
        assert "unstarted-b: it has not taken the digest within 1 d" in rollout.summary
        assert [proposed.decision.action for proposed in rollout.proposed] == ["rollback"]

    def test_a_release_whose_review_was_long_is_not_taken_back(self, start: Callable[..., Case]) -> None:
        rollout = start("unstarted", released=80).promote()
        assert rollout.verdict is Verdict.WAIT, rollout.summary
        assert "0 of 2 that are online and well (not yet unstarted-a, unstarted-b)" in rollout.summary

    @pytest.mark.parametrize(
        ("name", "policy"),
        [
            ("ill", "    abort: {maxIllSites: 50%}\n"),
            ("errors", "    abort: {maxErrorRate: 6%}\n"),
            ("slow", ""),
        ],
    )
    def test_within_the_limits_it_goes_on(self, start: Callable[..., Case], name: str, policy: str) -> None:
        rollout = start(name, policy).promote()
        assert rollout.verdict is Verdict.GO_ON, rollout.summary

    def test_the_last_ring_is_judged_too(self, start: Callable[..., Case]) -> None:
        case = start("healthy", sites=(site_with("errors-a", "all"), site_with("errors-b", "all")))
        case.fleet.release("all", case.images.new, 31)
        rollout = case.promote()
        assert [proposed.decision.ring for proposed in rollout.proposed] == ["all"]

    def test_the_command_exits_with_1_and_prints_each_number(self, start: Callable[..., Case]) -> None:
        case = start("silent")
        arguments = ["fleet", "promote", "pump", "-C", str(case.fleet.folder), "--registry", case.images.registry]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
        assert "  NOT MET offline sites of ring canary: 2 of 2 not seen for 1 h; required at most 0%" in result.output


class TestARingThatWasTakenBack:
    def test_does_not_get_the_image_again_by_itself(self, start: Callable[..., Case]) -> None:
        case = _taken_back(start)
        rollout = case.promote()
        assert rollout.verdict is Verdict.WAIT
        assert "the ring all was taken back from it" in rollout.summary
        assert not rollout.proposed

    def test_gets_it_again_where_a_person_names_the_ring(self, start: Callable[..., Case]) -> None:
        rollout = _taken_back(start).promote(ring="all")
        assert rollout.verdict is Verdict.GO_ON
        (warning,) = rollout.proposed[0].warnings
        assert warning == "the ring all had this image before, and was taken back from it."

    def test_gets_the_next_release(self, start: Callable[..., Case]) -> None:
        case = start("healthy")
        case.fleet.release("all", DIGESTS[3], 500)
        case.fleet.release("all", case.images.old, 400)
        assert case.promote().verdict is Verdict.GO_ON


def _taken_back(start: Callable[..., Case]) -> Case:
    case = start("healthy")
    case.fleet.release("all", case.images.new, 20)
    case.fleet.release("all", case.images.old, 10)
    return case


class TestAPromotionThatCannotBe:
    def test_of_an_image_that_the_registry_lost(self, start: Callable[..., Case], tmp_path: Path) -> None:
        case = start("healthy")
        with pytest.raises(KfpEdgeError, match="does not have sha256:.* so that no site could pull it"):
            promote(case.fleet.remote, "pump", NOW, registry=f"oci:{tmp_path}/empty")
        assert git(case.fleet.repository, "branch", "--list", "kfp-edge/*") == ""

    def test_to_the_first_ring(self, start: Callable[..., Case]) -> None:
        with pytest.raises(KfpEdgeError, match="canary is the first ring"):
            start("healthy").promote(ring="canary")

    def test_to_an_unknown_ring(self, start: Callable[..., Case]) -> None:
        with pytest.raises(KfpEdgeError, match="fleet.yaml has no ring al; did you mean all"):
            start("healthy").promote(ring="al")

    def test_of_an_unknown_model(self, start: Callable[..., Case]) -> None:
        with pytest.raises(KfpEdgeError, match=r"the ring canary has no model pump-2; did you mean pump\? it has pump"):
            promote(start("healthy").fleet.remote, "pump-2", NOW)

    def test_that_would_change_more_sites_of_a_group_than_may(self, start: Callable[..., Case]) -> None:
        sites = tuple(
            site_with(f"hall-{number}", "all", labels={"region": "south" if number < 3 else "north"})
            for number in range(4)
        )
        case = start("healthy", sites=sites)
        path = case.fleet.folder / "fleet.yaml"
        budget = '  - name: "all"\n    disruptionBudget: {groupBy: [region], maxChanging: 2}\n'
        text = path.read_text().replace('  - name: "all"\n', budget)
        case.fleet.commit({"fleet.yaml": text}, 1)
        with pytest.raises(
            KfpEdgeError,
            match="3 sites of region=south change with one release of the ring all, .* split the ring into 2 rings",
        ):
            case.promote()
        case.fleet.commit({"fleet.yaml": text.replace("maxChanging: 2", "maxChanging: 3")}, 1)
        assert case.promote().verdict is Verdict.GO_ON


class TestTheFirstPromotionOfAModelToARing:
    @pytest.fixture
    def first(self, start: Callable[..., Case]) -> Case:
        """The ring `all` has no model yet, and two sites that run none."""
        case = start("healthy", sites=(site_with("hall-1", "all", models=[]), site_with("hall-2", "all", models=[])))
        git(case.fleet.folder, "rm", "-r", "--quiet", "rings/all")
        case.fleet.commit({}, 20)
        return case

    def test_names_the_sites_that_get_it(self, first: Case) -> None:
        (proposed,) = first.promote().proposed
        assert "2 sites change: `hall-1`, `hall-2`." in proposed.body
        assert "## Manifests of hall-1" in proposed.body
        assert proposed.warnings == ()
        assert "- pump" in first.fleet.show("sites/hall-2/site.yaml", proposed.change.branch).replace('"', "")

    def test_keeps_the_disruption_budget(self, first: Case) -> None:
        text = (first.fleet.folder / "fleet.yaml").read_text()
        budget = '  - name: "all"\n    disruptionBudget: {maxChanging: 1}\n'
        first.fleet.commit({"fleet.yaml": text.replace('  - name: "all"\n', budget)}, 1)
        with pytest.raises(KfpEdgeError, match="2 sites .*change with one release of the ring all"):
            first.promote()

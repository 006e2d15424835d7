"""The whole demo with real servers and a real Prometheus, and with real collectors where there is one."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from kfp_edge.drift.result import Decision, Scope, Verdict
from kfp_edge.observability.demo.collectors import find_collector
from kfp_edge.observability.demo.compression import Compression
from kfp_edge.observability.demo.folder import local_environment
from kfp_edge.observability.demo.page import write_page
from kfp_edge.observability.demo.press import DRIFTED
from kfp_edge.observability.demo.story import Outcome, Plan, play
from kfp_edge.spec.compiled_pipeline import is_pipeline_name

#: Whether this version has the pipeline.
HAS_RETRAINING = is_pipeline_name("retraining")

pytestmark = [pytest.mark.slow, pytest.mark.containers, pytest.mark.xdist_group("observe demo")]


@pytest.fixture(scope="module")
def lines() -> list[str]:
    """What is printed."""
    return []


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> Iterator[Outcome]:
    folder = tmp_path_factory.mktemp("demo")
    with local_environment():
        yield play(Plan(retrains=HAS_RETRAINING), Compression(), find_collector(), folder, lines.append)


def test_the_alerts_are_those_of_what_happened(outcome: Outcome) -> None:
    # a machine that is busy with other tests may answer late, too
    alerts = {alert.key[:2] for alert in outcome.alerts if alert.name != "KfpEdgeLatencyBudgetBurn"}
    assert {("KfpEdgeInputDrift", "hall-2"), ("KfpEdgeServerUnreachable", "hall-3")} <= alerts
    assert not [site for _, site in alerts if site == "hall-1"]


def test_alerts_are_printed_with_their_reason_after_what_caused_them(outcome: Outcome, lines: list[str]) -> None:
    def find(start: str) -> int:
        return next(number for number, line in enumerate(lines) if line.startswith(start))

    assert find("hall-2 begins") < find("warning  KfpEdgeInputDrift")
    assert find("the server of hall-3 stops") < find("critical KfpEdgeServerUnreachable")
    drift = lines[find("warning  KfpEdgeInputDrift")]
    assert f"Input {DRIFTED} of press has drifted at site hall-2." in drift
    assert re.search(r"The population stability index of a day is \d+\.\d\d; from 0\.2 on", drift)


def test_the_drift_pipeline_decides_to_retrain_for_the_drifted_feature(outcome: Outcome) -> None:
    assert outcome.decided.decision is Decision.RETRAIN
    drifted = {
        (each.name, each.variable)
        for each in outcome.decided.comparisons
        if each.scope is Scope.SITE and each.verdict is Verdict.DRIFT and each.kind == "feature"
    }
    assert drifted == {("hall-2", DRIFTED)}
    assert outcome.drift_report.is_file()


def test_the_timeline_has_the_load_until_a_server_stops(outcome: Outcome) -> None:
    last = {each.labels["site"]: each.values[-1][0] for each in outcome.timeline.latency}
    assert set(last) == {"hall-1", "hall-2", "hall-3"}
    assert outcome.timeline.stop_at < last["hall-3"] < last["hall-1"]


@pytest.mark.skipif(not HAS_RETRAINING, reason="there is no pipeline retraining")
def test_the_retraining_ends_in_a_commit_of_the_next_version(outcome: Outcome) -> None:
    assert outcome.retrained is not None
    assert outcome.retrained.summary["git"]["branch"] == "kfp-edge/press/0.1.1"


def test_the_page_has_the_timeline_the_alerts_and_the_decision(outcome: Outcome, tmp_path: Path) -> None:
    write_page(outcome, Compression(), find_collector() is not None, tmp_path / "demo.html")
    page = (tmp_path / "demo.html").read_text()
    for text in (
        "data:image/svg+xml",
        "KfpEdgeServerUnreachable",
        "Decision: retrain",
        "A day of the rules lasts 30 s",
        ">critical</td>",
    ):
        assert text in page
    (address,) = re.findall('<a href="(.*?)">The report of the run</a>', page)
    assert (tmp_path / address).samefile(outcome.drift_report)


def test_all_processes_have_ended(outcome: Outcome) -> None:
    for site in outcome.sites:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", site.port), timeout=5)

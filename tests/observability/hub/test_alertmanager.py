"""The Alertmanager example: a real one mutes what it should, and groups by site; and our check of such files."""

import copy
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from kfp_edge.cli.app import app
from kfp_edge.errors import KfpEdgeError, ParameterError
from kfp_edge.observability.hub.alertmanager import check_alertmanager
from support.alertmanager import Alertmanager, alertmanager_with
from support.paths import ROOT

FILE = ROOT / "deploy/observability/hub/alertmanager/alertmanager.yaml"
EXAMPLE: dict[str, Any] = yaml.safe_load(FILE.read_text())
#: What is sent to the Alertmanager of the tests: `hall-1` is offline, and both sites have alerts of their own.
ALERTS = [
    {"alertname": "KfpEdgeSiteUnseen", "site": "hall-1", "ring": "all", "severity": "warning"},
    {"alertname": "KfpEdgeModelNotReady", "site": "hall-1", "ring": "all", "severity": "critical"},
    {"alertname": "KfpEdgeInputDrift", "site": "hall-1", "ring": "all", "severity": "warning", "feature": "torque"},
    {"alertname": "KfpEdgeQueueFilling", "site": "hall-1", "severity": "critical"},
    {"alertname": "KfpEdgeModelNotReady", "site": "yard-2", "ring": "all", "severity": "critical"},
    {"alertname": "KfpEdgeInputDrift", "site": "yard-2", "ring": "all", "severity": "warning", "feature": "torque"},
    {"alertname": "KfpEdgeErrorBudgetBurn", "site": "yard-2", "model": "pump", "severity": "critical"},
    {"alertname": "KfpEdgeHubDoesNotStore", "severity": "critical"},
]


def quickly(configuration: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration that sends its messages within a second."""
    changed = copy.deepcopy(configuration)

    def shorten(route: dict[str, Any]) -> None:
        route |= {"group_wait": "1s", "group_interval": "1s"}
        for each in route.get("routes", ()):
            shorten(each)

    shorten(changed["route"])
    del changed["global"]
    return changed


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    with alertmanager_with(tmp_path_factory.mktemp("alertmanager"), quickly(EXAMPLE)) as alertmanager:
        alertmanager.send(*ALERTS)
        yield alertmanager


def test_an_offline_site_has_no_other_alerts_than_that_its_queue_fills(running: Alertmanager) -> None:
    running.wait_for_messages(4)
    muted = running.muted()
    assert {name for (name, site), is_muted in muted.items() if site == "hall-1" and not is_muted} == {
        "KfpEdgeSiteUnseen",
        "KfpEdgeQueueFilling",
    }


def test_the_alerts_of_other_sites_and_of_the_hub_are_not_muted(running: Alertmanager) -> None:
    running.wait_for_messages(4)
    assert not any(is_muted for (_, site), is_muted in running.muted().items() if site != "hall-1")


def test_what_happens_at_a_site_is_one_message_of_a_receiver(running: Alertmanager) -> None:
    messages = running.wait_for_messages(5)
    of_site = [each for each in messages if each["groupLabels"].get("site") == "yard-2"]
    assert sorted((each["receiver"], sorted(a["labels"]["alertname"] for a in each["alerts"])) for each in of_site) == [
        ("fleet", ["KfpEdgeInputDrift"]),
        ("on-call", ["KfpEdgeErrorBudgetBurn", "KfpEdgeModelNotReady"]),
    ]


def test_without_equal_one_offline_site_mutes_all(tmp_path: Path) -> None:
    broken = quickly(EXAMPLE)
    del broken["inhibit_rules"][0]["equal"]
    with alertmanager_with(tmp_path, broken) as alertmanager:
        alertmanager.send(*ALERTS)
        alertmanager.wait_for_messages(2)
        assert alertmanager.muted()["KfpEdgeModelNotReady", "yard-2"]
    (tmp_path / "broken.yaml").write_text(yaml.safe_dump(broken))
    assert [str(each) for each in check_alertmanager(tmp_path / "broken.yaml")] == [
        f"{tmp_path / 'broken.yaml'}, line 2: inhibition 1 has no `site` in `equal`: KfpEdgeSiteUnseen of one site "
        "would mute the alerts of all sites; add equal: [site]."
    ]


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (["alertname=KfpEdgeSiteUnseen", "severity=warning", "site=hall-1"], "fleet"),
        (["alertname=KfpEdgeModelNotReady", "severity=critical", "site=hall-1"], "on-call-halls"),
        (["alertname=KfpEdgeModelNotReady", "severity=critical", "site=yard-2"], "on-call"),
        (["alertname=KfpEdgeInputDrift", "severity=warning", "site=hall-1"], "halls"),
        (["alertname=KfpEdgeInputDrift", "severity=warning", "site=yard-2"], "fleet"),
        (["alertname=KfpEdgeSiteNeverSeen", "severity=info", "site=hall-1"], "fleet"),
    ],
)
def test_severity_and_team_choose_the_receiver(labels: list[str], receiver: str) -> None:
    command = ["amtool", "config", "routes", "test", f"--config.file={FILE}", f"--verify.receivers={receiver}", *labels]
    subprocess.run(command, check=True, capture_output=True)


def test_amtool_and_our_check_accept_the_example() -> None:
    subprocess.run(["amtool", "check-config", FILE], check=True, capture_output=True)
    done = CliRunner().invoke(app, ["observe", "check-alertmanager", str(FILE), "--strict"])
    assert (done.exit_code, done.output) == (0, "OK\n")


UNSEEN = 'alertname="KfpEdgeSiteUnseen"'


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (f"{{source_matchers: ['{UNSEEN}'], equal: []}}", "KfpEdgeSiteUnseen of one site would mute"),
        (f"{{source_matchers: ['{UNSEEN}'], equal: [ring]}}", "KfpEdgeSiteUnseen of one site would mute"),
        ("{source_matchers: ['alertname=~\"KfpEdgeSite.*\"']}", "KfpEdgeSiteNeverSeen of one site would mute"),
        ("{source_match: {alertname: KfpEdgeSiteUnseen}}", "KfpEdgeSiteUnseen of one site would mute"),
        ("{source_match_re: {alertname: KfpEdgeModel.*}}", "KfpEdgeModelMissing of one site would mute"),
        ("{source_matchers: ['severity=critical'], target_matchers: ['severity=warning']}", "has no `equal`: one"),
        *(
            (
                f"{{source_matchers: ['severity=critical'], target_matchers: ['severity=warning'], equal: [{label}]}}",
                "KfpEdgeErrorBudgetBurn of one site would mute",
            )
            for label in ("alertname", "ring")
        ),
        ("{source_matchers: ['alertname=KfpEdgeSiteUnseen'], equal: [[site]]}", "KfpEdgeSiteUnseen of one site"),
    ],
)
def test_an_inhibition_that_mutes_a_fleet_is_found(tmp_path: Path, rule: str, message: str) -> None:
    (tmp_path / "a.yaml").write_text(f"route: {{group_by: [site]}}\ninhibit_rules:\n  - {rule}\n")
    (finding,) = check_alertmanager(tmp_path / "a.yaml")
    assert (finding.line, finding.severity) == (3, "error")
    assert f"inhibition 1 {message}" in finding.message or message in finding.message


@pytest.mark.parametrize(
    "rule",
    [
        f"{{source_matchers: ['{UNSEEN}'], equal: [site]}}",
        f"{{<<: {{equal: [site]}}, source_matchers: ['{UNSEEN}']}}",
        "{source_matchers: ['severity=critical', 'site=\"\"'], equal: [ring]}",
        f"{{source_matchers: ['{UNSEEN}', 'site=\"hall-1\"'], target_matchers: ['site=\"hall-1\"']}}",
        "{source_matchers: ['alertname=\"KfpEdgeHubDoesNotStore\"'], equal: []}",
        "{source_matchers: ['alertname=\"PlantIsClosed\"'], target_matchers: ['severity=warning'], equal: []}",
        "{source_matchers: ['severity=critical'], target_matchers: ['severity=warning'], equal: [site, alertname]}",
    ],
)
def test_an_inhibition_that_is_meant_so_passes(tmp_path: Path, rule: str) -> None:
    (tmp_path / "a.yaml").write_text(f"route: {{group_by: [site]}}\ninhibit_rules:\n  - {rule}\n")
    assert check_alertmanager(tmp_path / "a.yaml") == []


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("route: {receiver: a}", 1, "the route does not group by `site`"),
        ("route:\n  group_by: [alertname]", 2, "the route does not group by `site`"),
        (
            "route: {group_by: [site]}\nglobal:\n  smtp_auth_password: hunter2",
            3,
            "name that in smtp_auth_password_file",
        ),
        (
            "route: {group_by: [site]}\nreceivers:\n  - name: a\n    pagerduty_configs:\n      - routing_key: abc",
            5,
            "name that in routing_key_file",
        ),
    ],
)
def test_what_else_is_found(tmp_path: Path, text: str, line: int, message: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    (finding,) = check_alertmanager(tmp_path / "a.yaml")
    assert finding.line == line
    assert message in finding.message
    assert "hunter2" not in str(finding)


@pytest.mark.parametrize("text", ["route: {group_by: ['...']}", "route: {group_by: [site, alertname]}"])
def test_grouping_by_site_passes(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    assert check_alertmanager(tmp_path / "a.yaml") == []


@pytest.mark.parametrize(("text", "message"), [("- 1", "must be a mapping with a route"), ("a: [", "is no YAML")])
def test_another_file_is_refused_in_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(KfpEdgeError, match=re.escape(message)):
        check_alertmanager(tmp_path / "a.yaml")
    with pytest.raises(KfpEdgeError, match="cannot be read: No such file"):
        check_alertmanager(tmp_path / "none.yaml")


def test_a_route_below_that_does_not_group_by_site_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "route:\n  group_by: [site]\n  routes:\n    - receiver: a\n      routes:\n        - group_by: [alertname]\n"
        "        - group_by: ['...']\n"
    )
    (finding,) = check_alertmanager(tmp_path / "a.yaml")
    assert (finding.line, finding.severity) == (6, "warning")
    assert "the route does not group by `site`" in finding.message


@pytest.mark.parametrize("text", ["route: &all\n  routes: [*all]\n", "route: " + "[" * 3000])
def test_what_has_no_end_is_no_configuration(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ParameterError, match=r"a\.yaml is no YAML: "):
        check_alertmanager(tmp_path / "a.yaml")

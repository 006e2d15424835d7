"""The rule files: valid, named as Prometheus recommends, up to date, and each alert with a runbook."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from kfp_edge.cli.app import app
from kfp_edge.errors import KfpEdgeError
from kfp_edge.observability.hub.rules.contracts import Alert, Recording
from kfp_edge.observability.hub.rules.rule_files import CUSTOM_RESOURCE, RULE_FILE, all_groups, render_rules
from kfp_edge.observability.hub.rules.settings import LATENCY_BOUNDS, AlertSettings, read_settings
from kfp_edge_serving.telemetry.metrics import BUCKETS
from support import schemas
from support.alert_cases import CASES
from support.paths import ROOT

FOLDER = ROOT / "deploy/observability/hub/rules"
RULES = [rule for group in all_groups(AlertSettings()) for rule in group.rules]
ALERTS = [rule for rule in RULES if isinstance(rule, Alert)]
RENDERED = yaml.safe_load(render_rules(AlertSettings())[RULE_FILE])
RUNBOOKS = (ROOT / "docs/runbooks.md").read_text()


def test_the_files_in_the_repository_are_what_the_command_writes() -> None:
    done = CliRunner().invoke(app, ["observe", "rules", "--output", str(FOLDER), "--check"], catch_exceptions=False)
    assert (done.exit_code, done.output) == (0, "the rules are up to date\n")


def test_a_file_that_was_changed_by_hand_is_noticed(tmp_path: Path) -> None:
    runner = CliRunner()
    assert runner.invoke(app, ["observe", "rules", "--output", str(tmp_path)]).exit_code == 0
    (tmp_path / RULE_FILE).write_text("groups: []\n")
    with pytest.raises(KfpEdgeError, match=f"not up to date: {tmp_path / RULE_FILE}; run `kfp-edge observe rules"):
        runner.invoke(app, ["observe", "rules", "--output", str(tmp_path), "--check"], catch_exceptions=False)


def test_promtool_accepts_the_rules() -> None:
    subprocess.run(["promtool", "check", "rules", FOLDER / RULE_FILE], check=True, capture_output=True)


def test_the_custom_resource_fits_its_schema_and_has_the_same_rules() -> None:
    resource = yaml.safe_load((FOLDER / CUSTOM_RESOURCE).read_text())
    schemas.check(resource)
    assert resource["spec"] == yaml.safe_load((FOLDER / RULE_FILE).read_text())


@pytest.mark.parametrize("rule", [rule for rule in RULES if isinstance(rule, Recording)], ids=lambda rule: rule.name)
def test_recorded_series_are_named_by_level_metric_and_operations(rule: Recording) -> None:
    assert re.fullmatch(r"(site|model)(_[a-z]+)*:kfp_edge_[a-z_]+:[a-z0-9_]+", rule.name)


def test_no_series_is_recorded_twice() -> None:
    names = [rule.name for rule in RULES if isinstance(rule, Recording)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: f"{alert.name} {alert.severity}")
def test_an_alert_links_to_its_section_in_the_runbooks(alert: Alert) -> None:
    assert f"\n### {alert.name}\n" in RUNBOOKS
    (url,) = {
        rule["annotations"]["runbook_url"]
        for group in RENDERED["groups"]
        for rule in group["rules"]
        if rule.get("alert") == alert.name
    }
    assert url == f"{AlertSettings().runbooks}#{alert.name.lower()}"


@pytest.mark.parametrize("section", re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", RUNBOOKS, re.MULTILINE | re.DOTALL))
def test_a_section_says_what_an_alert_means_and_what_to_do(section: tuple[str, str]) -> None:
    name, text = section
    assert name in {alert.name for alert in ALERTS}
    assert re.findall(r"^\*\*(It means|Look at|Do)\*\*", text, re.MULTILINE) == ["It means", "Look at", "Do"]


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: f"{alert.name} {alert.severity}")
def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not(alert: Alert) -> None:
    assert {bool(case.sites) for case in CASES if case.alert == alert.name} == {True, False}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: f"{alert.name} {alert.severity}")
def test_the_summary_names_the_site_of_an_alert_of_a_site(alert: Alert) -> None:
    of_site = any(case.sites != ("",) for case in CASES if case.alert == alert.name and case.sites)
    assert ("$labels.site" in alert.summary) == of_site


def test_settings_change_objectives_limits_and_links(tmp_path: Path) -> None:
    file = tmp_path / "alerts.yaml"
    file.write_text(
        "runbooks: https://wiki.plant.example/runbooks\navailability: 99%\n"
        "latency: {within: 10ms, share: 95%}\noutage: 7d\ndrift: {psi: 0.3, minRows: 1000}\n"
    )
    text = render_rules(read_settings(file))[RULE_FILE]
    for expected in (
        'le="0.01"',
        "ratio_rate1h > 0.144",
        "ratio_rate1h > 0.72",
        ", 0.3)",
        ">= 1000",
        "holds 7d",
        "https://wiki.plant.example/runbooks#kfpedgeinputdrift",
    ):
        assert expected in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("available: 99%", "available is unknown; did you mean availability? there are runbooks, "),
        ("availability: 80%", "availability must be above 90% and below 100%, such as 99.5%."),
        ("availability: 100%", "availability must be above 90% and below 100%, such as 99.5%."),
        ("latency: {within: 30ms}", "latency.within must be a bound of the server's latency histogram: 0.1ms, 0.25ms,"),
        ("latency: {within: 0.1}", "latency.within must be in milliseconds, such as 100ms."),
        ("outage: 3 days", "outage must be a duration such as 30m, 24h or 7d."),
        ("outage: 0s", "outage must be an hour or longer: it is the window of rules."),
        ("drift: {psi: .inf}", "drift.psi Input should be a finite number."),
        ("runbooks: docs/runbooks.md", "runbooks must be an http:// or https:// URL, as a link in a message needs it."),
        ("drift: {minRows: 10}", "drift.minRows Input should be greater than or equal to 100."),
        ("- 1", "the document Input should be a valid dictionary"),
        ("a: [", "is no YAML: while parsing a flow node"),
    ],
)
def test_a_mistake_in_the_settings_is_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "alerts.yaml").write_text(text)
    with pytest.raises(KfpEdgeError, match=re.escape(message)):
        read_settings(tmp_path / "alerts.yaml")


def test_latency_objectives_are_bounds_of_the_server() -> None:
    assert LATENCY_BOUNDS == BUCKETS

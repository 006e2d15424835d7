"""Every alert fires when it should and only then, as promtool evaluates the rules."""

from pathlib import Path

import pytest
import yaml

from kfp_edge.observability.hub.rules.rule_files import RULE_FILE, write_rules
from kfp_edge.observability.hub.rules.settings import AlertSettings
from support import promtool
from support.alert_cases import CASES, Case


@pytest.fixture(scope="module")
def rule_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a rule file for each alert, with what its group records: so days are evaluated quickly."""
    folder = tmp_path_factory.mktemp("rules")
    write_rules(AlertSettings(), folder)
    groups = yaml.safe_load((folder / RULE_FILE).read_text())["groups"]
    for alert in {case.alert for case in CASES}:
        needed = [
            group | {"rules": [rule for rule in group["rules"] if rule.get("alert", alert) == alert]}
            for group in groups
            if any(rule.get("alert") == alert for rule in group["rules"])
        ]
        (folder / f"{alert}.yaml").write_text(yaml.safe_dump({"groups": needed}))
    return folder


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.alert}: {case.what}")
def test_an_alert_fires_when_it_should_and_only_then(rule_files: Path, case: Case) -> None:
    expected = {f'{{site="{site}"}}' if site else "{}": 1.0 for site in case.sites}
    labels = f'alertname="{case.alert}"' + (f', severity="{case.severity}"' if case.severity else "")
    promtool.check_firing(rule_files / f"{case.alert}.yaml", labels, expected, case.series, case.at, **case.times)

"""Rules in compressed time: windows and waiting times are shorter, all else is that of the hub."""

import re
import subprocess
from pathlib import Path

import pytest

from kfp_edge.observability.demo.compression import Compression
from kfp_edge.observability.hub.rules.contracts import Alert, Group, Recording, Severity
from kfp_edge.observability.hub.rules.rule_files import all_groups, render_rule_file
from kfp_edge.observability.hub.rules.settings import AlertSettings

RULES = [(group, rule) for group in all_groups(AlertSettings()) for rule in group.rules]


def compress(expression: str, lasts: str = "0m") -> Alert:
    alert = Alert("KfpEdgeTried", expression, lasts, Severity.INFO, "A summary of 1d.", "A description of [1d].")
    group = Compression(day=30).compress_group(Group("kfp-edge-tried", "15m", (alert,)))
    [compressed] = group.rules
    assert isinstance(compressed, Alert)
    return compressed


@pytest.mark.parametrize(
    ("window", "shorter"),
    [("1d", "30000ms"), ("12h", "15000ms"), ("72h", "90000ms"), ("1w", "210000ms"), ("1h", "5000ms"), ("5m", "5000ms")],
)
def test_a_window_is_divided_and_never_too_short_for_a_rate(window: str, shorter: str) -> None:
    assert compress(f"rate(x[{window}])").expression == f"rate(x[{shorter}])"
    assert compress(f"increase(x[1d] offset {window})").expression == f"increase(x[30000ms] offset {shorter})"


@pytest.mark.parametrize(("lasts", "shorter"), [("0m", "0s"), ("5m", "2000ms"), ("1h", "2000ms"), ("1d", "30000ms")])
def test_an_alert_waits_shorter(lasts: str, shorter: str) -> None:
    assert compress("up == 0", lasts).lasts == shorter


def test_names_limits_and_texts_stay() -> None:
    compressed = compress('site:x:increase1d{le=~"1[.]0|1d"} > 3600')
    assert compressed.expression == 'site:x:increase1d{le=~"1[.]0|1d"} > 3600'
    assert (compressed.summary, compressed.description) == ("A summary of 1d.", "A description of [1d].")


def test_no_window_of_the_rules_of_the_hub_is_left_out() -> None:
    for group, rule in RULES:
        [compressed] = Compression().compress_group(Group(group.name, group.interval, (rule,))).rules
        assert isinstance(compressed, Alert | Recording)
        assert re.findall(r"\[[^]m\"]*[smhdw]\]", compressed.expression.replace("ms]", "]")) == [], rule


def test_promtool_accepts_the_compressed_rules(tmp_path: Path) -> None:
    groups = map(Compression().compress_group, all_groups(AlertSettings()))
    (tmp_path / "rules.yaml").write_text(render_rule_file(groups, AlertSettings()))
    subprocess.run(["promtool", "check", "rules", tmp_path / "rules.yaml"], check=True, capture_output=True)

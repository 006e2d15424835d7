"""The drift that Prometheus records is the one of the drift component, from the same counts."""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import yaml

from kfp_edge.drift.statistics import compute_psi
from kfp_edge.observability.hub.rules.rule_files import RULE_FILE, render_rules
from kfp_edge.observability.hub.rules.settings import AlertSettings
from support import promtool
from support.alert_cases.series import classes, feature

MINUTES = 1440
INPUT = '{site="hall-1", ring="canary", model="pump", version="1", feature="torque"}'
OUTPUT = '{site="hall-1", ring="canary", model="pump", version="1", output="class"}'


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    groups = yaml.safe_load(render_rules(AlertSettings())[RULE_FILE])["groups"]
    file = tmp_path_factory.mktemp("rules") / "drift.yaml"
    file.write_text(yaml.safe_dump({"groups": [each for each in groups if each["name"] == "kfp-edge-drift"]}))
    return file


def check(rules: Path, recorded: str, labels: str, expected: float, series: Mapping[str, str]) -> None:
    """Raise an AssertionError unless a recorded series has a value, up to the precision of floating-point numbers."""
    expression = f"abs({recorded} - {expected!r}) < bool 1e-9"
    promtool.check(rules, expression, {labels: 1.0}, series, "25h", evaluation_interval="1h")


@pytest.mark.parametrize(
    ("bins", "training", "missing"),
    [
        ((10, 9, 1), (500, 450, 50), 0),
        ((0, 1, 9), (500, 450, 50), 0),
        ((0, 10, 0), (0, 1000, 0), 0),
        ((1, 8, 1), (0, 1000, 0), 0),
        ((5, 4, 1), (500, 450, 50), 3),
    ],
    ids=["as in training", "shifted", "constant", "outside of training", "missing"],
)
def test_the_psi_of_a_feature_is_that_of_the_component(
    rules: Path, bins: tuple[int, ...], training: tuple[int, ...], missing: int
) -> None:
    window = MINUTES * np.array([*bins, missing])
    expected = compute_psi(window, np.array([*training, 0]))
    series = feature(bins, training, missing=missing)
    check(rules, "site_model_feature:kfp_edge_input_psi:1d", INPUT, expected, series)


def test_the_psi_of_predicted_classes_is_that_of_the_component(rules: Path) -> None:
    expected = compute_psi(MINUTES * np.array([5, 5]), np.array([950, 50]))
    check(rules, "site_model_output:kfp_edge_output_psi:1d", OUTPUT, expected, classes(5, 5, (950, 50)))


def test_the_limit_of_few_rows_is_that_of_the_page_with_ten_rows_for_an_independent_one(rules: Path) -> None:
    rows, trained, freedom = MINUTES, 1000, 2
    quantile = freedom * (1 - 2 / (9 * freedom) + 4 * math.sqrt(2 / (9 * freedom))) ** 3
    expected = 10 * (1 / rows + 1 / trained) * quantile
    assert expected > 0.2
    series = feature((1, 0, 0), (500, 450, 50))
    check(rules, "site_model_feature:kfp_edge_input_psi_limit:1d", INPUT, expected, series)


def test_the_limit_of_many_rows_is_the_setting(rules: Path) -> None:
    series = feature((1000, 900, 100), (50_000, 45_000, 5000))
    check(rules, "site_model_feature:kfp_edge_input_psi_limit:1d", INPUT, 0.2, series)


def test_without_rows_or_training_there_is_no_number_that_would_spoil_an_average(rules: Path) -> None:
    for series in (feature((0, 0, 0), (500, 450, 50)), feature((1, 1, 1), (0, 0, 0))):
        promtool.check(
            rules, "avg(site_model_feature:kfp_edge_input_psi:1d) != 0", {}, series, "25h", evaluation_interval="1h"
        )

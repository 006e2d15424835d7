"""Metrics of predicted numbers, with intervals that are computed and not drawn, and the default gates."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as sk

from kfp_edge.errors import ModelError, ParameterError
from kfp_edge.metrics.errors import compute_improvement_p_value, measure_median, measure_ratio
from kfp_edge.metrics.gates import check_gates, parse_gates, select_gates
from kfp_edge.tasks.registry import measure, task_of
from kfp_edge.tasks.regression.coverage import check_coverage
from kfp_edge.tasks.regression.evaluation import evaluate
from kfp_edge.tasks.regression.predictions import NumberPredictions
from support.wear_tables import wear

DATA = wear()
TRUTH = DATA.target_values()
NONE = np.empty((len(TRUTH), 0))


def predict(value: np.ndarray, quantiles: np.ndarray = NONE, levels: tuple[float, ...] = ()) -> NumberPredictions:
    return NumberPredictions(value, quantiles, levels, deviation=float(TRUTH.std()))


def shifted(noise: float) -> np.ndarray:
    return TRUTH + np.random.default_rng(1).normal(0, noise, len(TRUTH))


def failed_gates(predictions: NumberPredictions, gates: dict[str, object] | None = None) -> list[str]:
    measurement = measure(predictions, DATA)
    selected = select_gates(gates or {}, task_of(DATA).find_default_gates(predictions), measurement)
    return [check.name for check in check_gates(measurement, selected) if not check.passed]


def test_metrics_are_those_of_scikit_learn():
    value = shifted(2)
    metrics = evaluate(predict(value), TRUTH, float(np.median(TRUTH)))
    assert metrics["mae"] == pytest.approx(sk.mean_absolute_error(TRUTH, value))
    assert metrics["rmse"] == pytest.approx(sk.root_mean_squared_error(TRUTH, value))
    assert metrics["r2"] == pytest.approx(sk.r2_score(TRUTH, value))
    assert metrics["median_absolute_error"] == pytest.approx(sk.median_absolute_error(TRUTH, value))
    assert metrics["mae_skill"] == pytest.approx(sk.d2_absolute_error_score(TRUTH, value))


def test_every_error_and_share_has_an_interval_around_it():
    quantiles = np.column_stack([shifted(2) - 3, shifted(2) + 3])
    measurement = measure(predict(shifted(2), quantiles, (0.1, 0.9)), DATA)
    assert set(measurement.intervals) == set(measurement.metrics) - {"baseline_p_value", "interval_width"}
    for name, interval in measurement.intervals.items():
        assert interval.low <= measurement.metrics[name] <= interval.high, name


def test_the_interval_of_an_error_contains_its_true_value_nineteen_times_in_twenty():
    rng = np.random.default_rng(0)
    errors = np.abs(rng.normal(0, 1, (400, 200)))
    ends = [measure_ratio(row, np.ones(200), None) for row in errors]
    covered = np.mean([end.low <= np.sqrt(2 / np.pi) <= end.high for end in ends])
    assert 0.92 < covered < 0.98
    ends = [measure_median(row, None) for row in errors]
    assert 0.92 < np.mean([end.low <= 0.6744898 <= end.high for end in ends]) < 0.98


def test_rows_of_one_machine_make_the_interval_wider():
    rng = np.random.default_rng(0)
    clusters = np.arange(200) // 20
    errors = np.abs(rng.normal(0, 1, 10))[clusters] + 0.1
    widths = [end.high - end.low for end in (measure_ratio(errors, np.ones(200), each) for each in (None, clusters))]
    assert widths[1] > 3 * widths[0]


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_errors_in_any_units_keep_their_digits(scale):
    data = wear(scale=scale)
    truth = data.target_values()
    predictions = NumberPredictions(truth + scale, NONE)
    measurement = measure(predictions, data)
    assert measurement.metrics["mae"] == pytest.approx(scale, rel=1e-5)
    assert str(measurement.intervals["mae"]) != "0 to 0"


@pytest.mark.parametrize(
    "value",
    [
        np.full(len(TRUTH), np.median(TRUTH)),
        np.full(len(TRUTH), TRUTH.mean()),
        np.random.default_rng(3).permutation(TRUTH),
        -TRUTH,
    ],
    ids=["training median", "mean", "shuffled", "turned"],
)
def test_a_model_no_better_than_one_number_is_refused(value):
    assert "gate r2" in failed_gates(predict(value))


def test_a_model_that_knows_something_passes():
    assert failed_gates(predict(shifted(4))) == []


def test_few_rows_that_chance_explains_are_refused_unless_a_limit_is_named():
    data = replace(DATA, frame=DATA.frame.iloc[:6])
    truth = data.target_values()
    value = truth.mean() + (truth - truth.mean()) * np.array([0.4, -0.6, 0.4, 0.4, -0.6, 0.4])
    predictions = NumberPredictions(value, NONE[:6])
    measurement = measure(predictions, replace(data, preparation=replace(data.preparation, target_median=truth.mean())))
    assert measurement.metrics["r2"] > 0
    defaults = task_of(data).find_default_gates(predictions)
    names = [[gate.metric for gate in select_gates(gates, defaults, measurement)] for gates in ({}, {"r2": 0.01})]
    assert names == [["baseline_p_value", "r2"], ["r2"]]
    assert measurement.metrics["baseline_p_value"] > 0.05


@pytest.mark.parametrize("power", [1, 2])
def test_an_improvement_of_either_kind_of_error_counts(power):
    rng = np.random.default_rng(0)
    baseline = rng.uniform(1, 2, 100)
    better = np.where(np.arange(100) < 3, 0.0, baseline * 1.01) if power == 2 else baseline * 0.9
    if power == 2:
        baseline[:3] = 60.0
    assert compute_improvement_p_value(better, baseline) < 0.3
    assert compute_improvement_p_value(baseline, baseline) == 1.0


def test_a_constant_target_has_no_r2():
    assert "r2" not in evaluate(predict(shifted(1)[:5], NONE[:5]), np.full(5, 3.0), 3.0)


def test_a_missing_prediction_is_refused_in_one_sentence():
    with pytest.raises(ModelError, match="predicts no number .* for 1 of 600 rows"):
        measure(predict(np.where(np.arange(600) == 3, np.nan, TRUTH)), DATA)


@pytest.mark.parametrize(("half_width", "passes"), [(0.2, False), (1.3, True), (9.0, True)])
def test_quantiles_that_contain_too_few_true_values_are_refused(half_width, passes):
    value = shifted(1)
    predictions = predict(value, np.column_stack([value - half_width, value + half_width]), (0.1, 0.9))
    measurement = measure(predictions, DATA)
    (check,) = check_coverage({}, measurement, predictions.levels)
    assert check.passed is passes
    assert "0.8, as asked for with quantiles" in check.required
    assert check_coverage({"coverage": 0.1}, measurement, predictions.levels) == []


@pytest.mark.parametrize(
    ("gates", "expected"),
    [
        ({"r2": 1.5}, "never above 1"),
        ({"mae": ">=3"}, "lower is better; write '<=3'"),
        ({"recall": 0.5}, "measured for task=classification and task=anomaly only"),
        ({"accuraci": 0.5}, "name one of baseline_p_value, coverage, interval_width, mae"),
    ],
)
def test_gates_know_the_direction_and_the_range_of_errors(gates, expected):
    with pytest.raises(ParameterError, match=expected):
        parse_gates(gates, "regression")


def test_a_gate_on_coverage_of_a_model_without_quantiles_gets_the_parameter():
    predictions = predict(shifted(1))
    with pytest.raises(ParameterError, match=r"trained with quantiles=\[0.1, 0.9\]"):
        failed_gates(predictions, {"coverage": 0.7})

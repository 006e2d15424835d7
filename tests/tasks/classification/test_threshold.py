"""The threshold of a classifier is the one that was asked for, chosen on rows that the scoring models have not seen."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.pipeline import Pipeline

from kfp_edge.components.train.train import fit
from kfp_edge.errors import DataError, ParameterError
from kfp_edge.ml.dataset import Dataset, Roles
from kfp_edge.ml.decision import read_decision, without_decision
from kfp_edge.tasks.classification.threshold import choose_threshold, parse_threshold
from kfp_edge.tasks.registry import check_options, measure, predict
from kfp_edge.tasks.task import TrainingOptions
from support.tables import SHA, failures, read_sklearn_table

SCORES = st.integers(2, 60).flatmap(
    lambda rows: st.tuples(
        arrays(np.float32, rows, elements=st.floats(0, 1, width=32)),
        arrays(bool, rows, elements=st.booleans()).filter(lambda truth: truth.any() and not truth.all()),
    )
)
COSTS = {"missed_cost": 2000.0, "false_alarm_cost": 200.0}


def cost_at(threshold: float, truth: np.ndarray, score: np.ndarray) -> float:
    alarm = score > np.float32(threshold)
    return float(2000 * (truth & ~alarm).sum() + 200 * (~truth & alarm).sum())


@given(SCORES)
def test_no_other_threshold_costs_less(rows) -> None:
    score, truth = rows
    chosen = cost_at(choose_threshold(COSTS, truth, score), truth, score)
    assert chosen <= min(cost_at(threshold, truth, score) for threshold in [0.0, *score.tolist()])


@given(SCORES, st.sampled_from([0.1, 0.5, 0.9]))
def test_a_recall_is_reached_and_no_higher_threshold_reaches_it(rows, recall: float) -> None:
    score, truth = rows
    threshold = choose_threshold({"recall": recall}, truth, score)
    positives = score[truth]
    if (positives > 0).mean() >= recall:  # a probability of 0 is above no threshold
        assert (positives > np.float32(threshold)).mean() >= recall
    higher = score[score > np.float32(threshold)].tolist()
    assert all((positives > np.float32(other)).mean() < recall for other in higher)


def test_a_recall_that_rounding_would_miss_is_reached_by_the_highest_threshold() -> None:
    truth = np.arange(51) < 50
    score = np.where(np.arange(51) < 5, 0.8, 0.2).astype(np.float32)
    assert choose_threshold({"recall": 0.1}, truth, score) == pytest.approx(0.5)


@given(SCORES, st.sampled_from([0.01, 0.1, 0.5]))
def test_a_false_alarm_rate_is_kept_and_no_lower_threshold_keeps_it(rows, rate: float) -> None:
    score, truth = rows
    threshold = choose_threshold({"false_alarm_rate": rate}, truth, score)
    others = score[~truth]
    if (others < 1).all():  # a probability of 1 is above every threshold
        assert (others > np.float32(threshold)).mean() <= rate
    lower = sorted({0.0, *score[score <= np.float32(threshold)].tolist()})
    assert all((others > np.float32(other)).mean() > rate for other in lower[:-1])


@given(SCORES)
def test_a_threshold_lies_between_two_scores(rows) -> None:
    score, truth = rows
    threshold = np.float32(choose_threshold(COSTS, truth, score))
    below, above = score[score <= threshold], score[score > threshold]
    if len(below) and len(above) and above.min() - below.max() > 1e-6:
        assert below.max() < threshold < above.min()


@pytest.mark.parametrize(
    ("threshold", "message"),
    [
        (0.3, "threshold is 0.3; did you mean {probability: 0.3}?"),
        ("high", "threshold is 'high'; give {missed_cost: 2000, false_alarm_cost: 200}, {recall: 0.9}, "),
        ({"recalll": 0.9}, "threshold has 'recalll', by which none can be chosen; did you mean recall?"),
        (
            {"missed_cost": 3},
            "threshold has missed_cost without false_alarm_cost; give both, such as {missed_cost: 2000, ",
        ),
        ({"false_alarm_cost": 3}, "threshold has false_alarm_cost without missed_cost; give both, such as "),
        ({"recall": 0.9, "probability": 0.1}, "threshold has recall and probability, of which only one can be met; "),
        ({"recall": 90}, "threshold has recall=90; give a share above 0 and at most 1; did you mean 0.9?"),
        ({"recall": "all"}, "threshold has recall='all'; give a share above 0 and at most 1."),
        ({"missed_cost": 0, "false_alarm_cost": 1}, "threshold has missed_cost=0; give a number above 0."),
    ],
)
def test_what_cannot_be_asked_for_is_refused_with_what_can(threshold, message: str) -> None:
    with pytest.raises(ParameterError) as refused:
        parse_threshold(threshold)
    assert str(refused.value).startswith(message)


def test_a_detector_is_sent_to_its_own_parameter() -> None:
    with pytest.raises(ParameterError, match="task=anomaly does not use; set that of a detector with false_alarm_rate"):
        check_options(TrainingOptions(threshold={"recall": 0.9}), "anomaly")


def test_more_than_two_classes_are_refused_in_one_sentence() -> None:
    table = read_sklearn_table("wine")
    features = tuple(name for name in table if name != "target")
    data = Dataset(table, Roles("classification", "target", features, ()), SHA)
    with pytest.raises(ParameterError, match="decides between two classes, and column 'target' has 3; leave it empty"):
        fit(data, TrainingOptions(threshold={"recall": 0.9}))


def noisy(seed: int) -> Dataset:
    """Return rows of which the model cannot get all right: one in twenty has the wrong label."""
    data = failures(seed=seed, labels=("ok", "bad"))
    is_wrong = np.random.default_rng(seed).random(len(data.frame)) < 0.05
    swapped = data.frame["failed"].map({"ok": "bad", "bad": "ok"})
    frame = data.frame.assign(failed=data.frame["failed"].where(~is_wrong, swapped))
    return dataclasses.replace(data, frame=frame, roles=dataclasses.replace(data.roles, positive="bad"))


@pytest.fixture(scope="module")
def costly() -> Pipeline:
    """Return a model whose threshold was chosen for costs."""
    return fit(noisy(0), TrainingOptions(threshold=COSTS))


def test_the_model_carries_its_threshold_with_the_reason(costly: Pipeline) -> None:
    decision = read_decision(costly)
    assert decision is not None
    assert decision.positive == "bad"
    assert decision.choice is not None
    assert decision.choice.asked == COSTS
    assert decision.choice.origin == "2,000 training rows, each predicted by a model that was fitted on others"


def test_the_expected_cost_is_one_that_held_out_rows_show(costly: Pipeline) -> None:
    measurement = measure(predict(costly, noisy(1)), noisy(1))
    interval = measurement.intervals["cost_per_row"]
    assert interval.low <= measurement.metrics["cost_per_row"] <= interval.high
    expected = read_decision(costly).choice.expected
    assert interval.low <= expected["cost_per_row"] <= interval.high
    assert expected.keys() == {"recall", "false_alarm_rate", "cost_per_row"}


def test_the_threshold_costs_less_than_the_most_probable_class() -> None:
    test = failures(seed=1)
    model = fit(failures(), TrainingOptions(estimator="logistic_regression", threshold=COSTS))
    with_threshold = predict(model, test)
    without = dataclasses.replace(with_threshold, label=predict(without_decision(model), test).label)
    costs = [measure(predictions, test).metrics["cost_per_row"] for predictions in (with_threshold, without)]
    assert costs[0] < costs[1]


def test_labels_follow_the_threshold_in_single_precision() -> None:
    data = failures()
    model = fit(data, TrainingOptions(threshold={"probability": 0.1}))
    predictions = predict(model, data)
    probability = predictions.probabilities[:, 1].astype(np.float32)
    np.testing.assert_array_equal(predictions.label == 1, probability > np.float32(0.1))


@given(st.floats(0, 1, width=32), st.integers(-3, 3))
def test_scikit_learn_decides_as_single_precision_does_also_at_the_threshold(threshold: float, steps: int) -> None:
    from kfp_edge.ml.decision import _find_lowest_positive, _round_below

    lowest = _find_lowest_positive(threshold)
    assert _round_below(lowest) == threshold
    probability = threshold
    for _ in range(abs(steps)):
        probability = float(np.nextafter(lowest if steps > 0 else probability, np.sign(steps)))
    assert (probability >= lowest) == (np.float32(probability) > np.float32(threshold))


def test_groups_are_predicted_by_models_of_other_groups() -> None:
    """A feature that names the group gives the label away, but only to a model that has seen the group."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(40), 25)
    failed = (rng.random(40) < 0.5)[group]
    frame = pd.DataFrame({"serial": group.astype(np.float32), "machine": group.astype(str), "failed": 1 * failed})
    data = Dataset(frame, Roles("classification", "failed", ("serial",), (), group="machine"), SHA)
    decision = read_decision(fit(data, TrainingOptions(threshold=COSTS)))
    assert "each predicted by a model that was fitted on other groups" in decision.choice.origin
    assert decision.choice.expected["cost_per_row"] > 50


def test_a_class_with_a_single_row_is_named() -> None:
    data = failures(200)
    data.frame["failed"] = [1, *[0] * 199]
    with pytest.raises(DataError, match="the class 1 has a single training row to choose a threshold on rows that"):
        fit(data, TrainingOptions(threshold=COSTS))

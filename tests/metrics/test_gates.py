"""Gates: what people type becomes a limit in the right direction, or one sentence."""

import pytest

from kfp_edge.components.verify.champion import check_champion
from kfp_edge.errors import KfpEdgeError, ParameterError
from kfp_edge.metrics.catalog import METRICS, Direction, find_metric
from kfp_edge.metrics.gates import Gate, check_gates, check_limits, name_as_measured, parse_gates
from kfp_edge.metrics.measurement import Measurement


@pytest.mark.parametrize(
    ("limit", "operator", "value"),
    [
        (0.95, ">=", 0.95),
        (1, ">=", 1.0),
        ("0.9", ">=", 0.9),
        ("9e-1", ">=", 0.9),
        ("80%", ">=", 0.8),
        (">=0.95", ">=", 0.95),
        (">= 95 %", ">=", 0.95),
        (" > 0.5 ", ">", 0.5),
    ],
)
def test_a_limit_is_a_number_or_a_percentage_with_or_without_an_operator(limit, operator, value):
    assert parse_gates({"roc_auc": limit}) == (Gate("roc_auc", operator, value),)


@pytest.mark.parametrize(
    ("limit", "operator", "value"), [("<=0.001", "<=", 0.001), ("<1", "<", 1.0), (">1%", ">", 0.01)]
)
def test_a_rate_of_alarms_may_have_a_limit_in_either_direction(limit, operator, value):
    assert parse_gates({"alarm_rate": limit}) == (Gate("alarm_rate", operator, value),)


@pytest.mark.parametrize(
    ("name", "limit", "message"),
    [
        ("roc_auc", "<0.8", "the gate roc_auc is '<0.8', but higher is better; write '>=0.8'."),
        ("recall(Fail)", "<= 80 %", "the gate recall(Fail) is '<= 80 %', but higher is better; write '>=80 %'."),
        ("log_loss", ">0.2", "the gate log_loss is '>0.2', but lower is better; write '<=0.2'."),
    ],
)
def test_a_limit_in_the_wrong_direction_is_refused(name, limit, message):
    with pytest.raises(ParameterError) as caught:
        parse_gates({name: limit})
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("name", "task", "message"),
    [
        ("specificity", "classification", "the gate specificity is measured for task=anomaly only."),
        ("log_loss", "anomaly", "the gate log_loss is measured for task=classification only."),
        ("recall(1)", "anomaly", "the gate recall(1) is measured for task=classification only; name recall."),
    ],
)
def test_a_gate_of_another_task_is_refused(name, task, message):
    with pytest.raises(ParameterError) as caught:
        parse_gates({name: 0.5}, task)
    assert str(caught.value) == message
    assert parse_gates({name: 0.5}) != ()


@pytest.mark.parametrize(
    ("name", "metrics", "message"),
    [
        ("recall(Feler)", ("recall(Fehler)", "recall(Gut)", "precision(Gut)"), "did you mean recall(Fehler)?"),
        ("recall(x)", ("recall", "recall(Fehler)"), "measured are recall(Fehler)."),
        ("recall", ("recall(a)", "recall(b)", "accuracy"), "measured are recall(a), recall(b)."),
        ("recall", ("alarm_rate",), "without labels there is alarm_rate only; name the label column in target."),
        ("roc_auc", ("alarm_rate", "specificity"), "the held-out rows do not define it, only alarm_rate, specificity."),
    ],
)
def test_a_metric_that_was_not_measured_is_explained(name, metrics, message):
    with pytest.raises(ParameterError) as caught:
        check_gates(Measurement(dict.fromkeys(metrics, 0.5)), parse_gates({name: 0.5}))
    assert str(caught.value) == f"the gate {name!r} names a metric that was not measured; {message}"


@pytest.mark.parametrize("name", ["log_loss", "brier_score", "false_alarm_rate", "alarm_rate"])
def test_a_bare_number_is_the_highest_value_where_less_is_better(name):
    assert parse_gates({name: 0.1}) == (Gate(name, "<=", 0.1),)


def test_gates_on_one_class_name_it_in_brackets():
    assert [gate.metric for gate in parse_gates({"recall(Fail)": 0.5, "f1(class (b))": "50%"})] == [
        "f1(class (b))",
        "recall(Fail)",
    ]


@pytest.mark.parametrize("limit", ["off", " Off"])
def test_off_gives_no_gate(limit):
    assert parse_gates({"roc_auc": limit}) == ()


@pytest.mark.parametrize(
    "limit", [True, False, [0.9], {}, float("nan"), "nan", "", "high", "==0.5", ">=", "0.9.1", "=>0.9", "90%%", ">>0.1"]
)
def test_what_is_no_limit_is_refused_in_one_sentence(limit):
    with pytest.raises(ParameterError, match="the gate f1 is .*, which is no limit; write a number, or a string such"):
        parse_gates({"f1": limit})


@pytest.mark.parametrize(
    ("name", "limit", "message"),
    [
        ("roc_auc", 80, "the gate roc_auc is 80, but roc_auc is between 0 and 1; did you mean 80%?"),
        ("recall(Fail)", "101%", "the gate recall(Fail) is '101%', but recall is between 0 and 1; did you mean 1.01%?"),
        ("accuracy", -0.1, "the gate accuracy is -0.1, but accuracy is between 0 and 1."),
        ("roc_auc", float("inf"), "the gate roc_auc is inf, but roc_auc is between 0 and 1."),
        ("log_loss", "-1", "the gate log_loss is '-1', but log_loss is never below 0."),
    ],
)
def test_a_limit_outside_the_range_of_its_metric_is_refused(name, limit, message):
    with pytest.raises(ParameterError) as caught:
        parse_gates({name: limit})
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("auc", "the gate 'auc' names no metric; did you mean roc_auc?"),
        ("Recall", "the gate 'Recall' names no metric; did you mean recall?"),
        ("Recall(Fail)", "the gate 'Recall(Fail)' names no metric; did you mean recall(Fail)?"),
        ("roc_auc(Fail)", "of one class there are f1(CLASS), precision(CLASS), recall(CLASS)."),
        ("recall()", "of one class there are f1(CLASS), precision(CLASS), recall(CLASS)."),
        ("xyz", "name one of accuracy, alarm_rate, "),
        (True, "the gate True names no metric"),
    ],
)
def test_a_gate_that_names_no_metric_suggests_one(name, message):
    with pytest.raises(ParameterError) as caught:
        parse_gates({name: 0.5})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("gate", "value", "passed", "required"),
    [
        (">=0.5", 0.5, True, "at least 0.5"),
        (">0.5", 0.5, False, "above 0.5"),
        ("<=0.5", 0.5, True, "at most 0.5"),
        ("<0.5", 0.5, False, "below 0.5"),
    ],
)
def test_a_gate_passes_within_its_limit(gate, value, passed, required):
    (check,) = check_gates(Measurement({"alarm_rate": value}), parse_gates({"alarm_rate": gate}))
    assert (check.passed, check.required) == (passed, required)


@pytest.mark.parametrize(
    ("name", "limit", "remedy"),
    [("recall", ">1", ">=1"), ("roc_auc", "> 100%", ">=1"), ("log_loss", "<0", "<=0"), ("alarm_rate", "<0%", "<=0")],
)
def test_a_limit_that_no_model_reaches_is_refused_before_anything_is_trained(name, limit, remedy):
    with pytest.raises(ParameterError, match=f"which no model reaches; write '{remedy}'"):
        parse_gates({name: limit})
    assert parse_gates({name: remedy})


@pytest.mark.parametrize("name", ["recall(false)", "recall(False)", "recall(0)", "recall(0.0)"])
def test_classes_of_booleans_are_named_as_people_write_them(name):
    assert name_as_measured({name: 0.5}, {"recall(0)": 0.9, "recall(1)": 0.8}) == {"recall(0)": 0.5}


@pytest.mark.parametrize("name", ["recall(true)", "recall(fail)", "f1"])
def test_other_gates_keep_the_names_that_they_were_given(name):
    assert name_as_measured({name: 0.5}, {"recall(true)": 0.9, "recall(Fail)": 0.8, "f1": 0.7}) == {name: 0.5}


def test_a_gate_on_a_class_that_does_not_exist_suggests_one_that_does():
    with pytest.raises(ParameterError, match=r"did you mean recall\(Fail\)\?"):
        check_gates(Measurement({"recall(Fail)": 0.5, "recall(Pass)": 0.9}), parse_gates({"recall(fail)": 0.5}))


@pytest.mark.parametrize(
    ("name", "value", "champion", "passed"),
    [
        ("roc_auc", 0.895, 0.90, True),
        ("roc_auc", 0.88, 0.90, False),
        ("roc_auc", 0.99, 0.90, True),
        ("log_loss", 0.205, 0.20, True),
        ("log_loss", 0.22, 0.20, False),
        ("log_loss", 0.01, 0.20, True),
        ("false_alarm_rate", 0.5, 0.001, False),
        ("recall(Fail)", 0.1, 0.9, False),
    ],
)
def test_the_challenger_may_be_worse_than_the_champion_by_the_margin_only(name, value, champion, passed):
    (check,) = check_champion({name: value}, {name: champion}, [name], margin=0.01)
    assert check.passed is passed


@pytest.mark.parametrize(
    ("name", "required"),
    [
        ("roc_auc", "at least 0.39 (champion 0.4, margin 0.01)"),
        ("log_loss", "at most 0.41 (champion 0.4, margin 0.01)"),
    ],
)
def test_the_comparison_states_the_limit_and_where_it_comes_from(name, required):
    (check,) = check_champion({name: 0.5}, {name: 0.4}, [name], margin=0.01)
    assert check.required == required


def test_a_perfect_model_is_within_the_range_of_every_metric():
    for metric in METRICS.values():
        assert metric.low <= (0 if metric.direction is Direction.LOWER else 1) <= metric.high


def test_only_metrics_that_are_measured_by_class_take_a_class():
    assert find_metric("recall(Fail)") is METRICS["recall"]
    assert find_metric("roc_auc(Fail)") is None


@pytest.mark.parametrize(("margin", "latency"), [(-0.1, 5.0), (float("nan"), 5.0), (0.01, 0.0), (0.01, -1.0)])
def test_limits_that_no_model_can_be_within_are_refused(margin: float, latency: float) -> None:
    with pytest.raises(KfpEdgeError, match=r"(champion_margin|max_latency_ms) is .*; give"):
        check_limits(margin, latency)

"""A reviewer finds on one page what the model is about, how its rows were split, and how certain its metrics are."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from kfp_edge.metrics.events import EventCount
from kfp_edge.metrics.intervals import Interval
from kfp_edge.metrics.measurement import Measurement
from kfp_edge.ml.dataset import Dataset, Preparation, Roles
from kfp_edge.model_report.facts import ModelFacts
from kfp_edge.model_selection.record import TrainingRecord
from support.tables import SHA, anomalies, failures, mark_training_failures

PREPARATION = Preparation(
    split="group-and-time",
    split_reason="groups of 'machine' follow each other in time",
    positive_reason="the rarer class",
    left_out={"rows without a label": 12, "warm-up of rolling windows": 1200},
    warnings=("column 'code' alone gives the class of nearly every row", "two columns are constant."),
)
METRICS = {"recall": 0.6, "recall(Fail)": 0.6, "recall(Pass)": 0.99, "log_loss": 0.1}
INTERVAL = Interval(0.1466, 0.9473)
MEASUREMENT = Measurement(METRICS, {"recall": INTERVAL, "recall(Fail)": INTERVAL}, positive="Fail")


def classified(measurement: Measurement = MEASUREMENT, labels: tuple[object, object] = ("Pass", "Fail")) -> ModelFacts:
    """Return the facts of a classifier on rows that were prepared by ingest."""
    train, test = (
        dataclasses.replace(part, preparation=PREPARATION)
        for part in (failures(2000, labels=labels), failures(500, seed=1, labels=labels))
    )
    return ModelFacts(train, test, measurement, 0.01)


def detected(*, labelled: bool = True, time: object = None, **measured: object) -> ModelFacts:
    """Return the facts of a detector on the rows of four machines."""
    data = anomalies(labelled=labelled)
    machines = np.array(["m0", "m1", "m2", "m3"], dtype=object)[np.arange(2000) // 500]
    frame = data.frame.assign(machine=machines, at=np.arange(2000) if time is None else time)
    roles = Roles("anomaly", data.roles.target, data.roles.numeric, (), time="at", group="machine")
    train, test = (Dataset(rows.reset_index(drop=True), roles, SHA) for rows in (frame[:1200], frame[1200:]))
    metrics = {"false_alarm_rate" if labelled else "alarm_rate": 0.02}
    measurement = Measurement(metrics, {name: Interval(0.01, 0.03) for name in metrics}, **measured)  # type: ignore[arg-type]
    return ModelFacts(train, test, measurement, 0.001)


def table(facts: ModelFacts, title: str) -> dict[str, tuple[str, ...]]:
    (section,) = (section for section in facts.sections if section.title == title)
    assert all(len(row) == len(section.header) for row in section.rows)
    return {row[0]: row[1:] for row in section.rows}


def test_the_positive_class_the_target_and_the_task_are_named() -> None:
    facts = table(classified(), "Data and split")
    assert facts["task"] == ("classification",)
    assert facts["target"] == ("failed",)
    assert facts["positive class"] == ("Fail: the rarer class",)


def test_the_split_has_its_reason_and_the_rows_left_out_have_theirs() -> None:
    facts = table(classified(), "Data and split")
    assert facts["split"] == ("group-and-time: groups of 'machine' follow each other in time",)
    assert facts["rows in neither part"] == ("12 (rows without a label); 1,200 (warm-up of rolling windows)",)


def test_each_part_has_its_rows_and_its_share_of_failures() -> None:
    facts = classified()
    failed = [int((part.y() == "Fail").sum()) for part in (facts.train, facts.test)]
    parts = table(facts, "Training and held-out rows")
    assert parts["rows"] == ("2,000", "500")
    expected = tuple(f"{count:,} ({100 * count / rows:.2f} %)" for count, rows in zip(failed, (2000, 500), strict=True))
    assert parts["rows of class 'Fail'"] == expected


def test_a_metric_has_its_interval_its_direction_and_its_meaning() -> None:
    metrics = table(classified(), "Metrics on held-out rows")
    assert metrics["recall"][:3] == ("0.6", "0.1466 to 0.9473", "higher is better")
    assert metrics["log_loss"][1:3] == ("", "lower is better")
    assert all(row[3] for row in metrics.values())


def test_a_p_value_that_rounds_to_zero_is_not_stated_as_zero() -> None:
    metrics = table(classified(Measurement({"roc_auc_p_value": 0.0, "log_loss": 0.0})), "Metrics on held-out rows")
    assert (metrics["roc_auc_p_value"][0], metrics["log_loss"][0]) == ("below 1e-06", "0")


def test_metrics_of_one_class_stand_in_the_line_of_the_class() -> None:
    facts = classified()
    assert set(table(facts, "Metrics on held-out rows")) == {"recall", "log_loss"}
    classes = table(facts, "Metrics of each class")
    assert classes["Fail"][:2] == ("0.6 (0.1466 to 0.9473)", "not measured")
    assert classes["Pass"][0] == "0.99"


def test_of_many_classes_none_is_positive() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"level": rng.random(300), "kind": rng.integers(20, size=300)})
    data = Dataset(frame, Roles("classification", "kind", ("level",), ()), SHA)
    facts = ModelFacts(data, data, Measurement({"accuracy": 0.5}), 0.01)
    assert table(facts, "Data and split")["positive class"] == ("none: there are 20 classes",)
    assert len(table(facts, "Metrics of each class")) == 20


def test_warnings_come_from_the_data_and_the_metrics_each_once_and_as_sentences() -> None:
    measurement = Measurement(METRICS, warnings=("only 5 held-out rows fail.", "two columns are constant"))
    assert classified(measurement).warnings == [
        "column 'code' alone gives the class of nearly every row.",
        "two columns are constant.",
        "only 5 held-out rows fail.",
    ]


def test_the_false_alarm_rate_asked_for_stands_beside_the_measured_one() -> None:
    facts = table(detected(), "Data and split")
    assert facts["false-alarm rate"] == ("0.001 asked for, 0.02 measured (95 % interval 0.01 to 0.03)",)


def test_without_labels_the_alarm_rate_of_all_rows_is_compared() -> None:
    facts = table(detected(labelled=False), "Data and split")
    assert facts["target"] == ("none: the data has no labels",)
    expected = "0.001 asked for, 0.02 measured (95 % interval 0.01 to 0.03) in all rows, as none is labelled"
    assert facts["false-alarm rate"] == (expected,)
    assert "positive class" not in facts


@pytest.mark.parametrize(
    ("time", "first", "last"),
    [
        (np.arange(2000), "1200", "1999"),
        (np.arange(2000) / 4, "300", "499.75"),
        (1.7e9 + np.arange(2000.0), "1700001200", "1700001999"),
        (pd.date_range("2024-01-01", periods=2000, freq="h"), "2024-02-20 00:00:00", "2024-03-24 07:00:00"),
    ],
)
def test_each_part_has_its_groups_and_its_range_of_time(time: object, first: str, last: str) -> None:
    facts = detected(time=time)
    parts = table(facts, "Training and held-out rows")
    assert parts["groups of 'machine'"] == ("3", "2")
    assert (parts["first 'at'"][1], parts["last 'at'"][1]) == (first, last)
    assert table(facts, "Data and split")["groups of 'machine' in both parts"] == ("1",)


def test_machines_with_missed_events_come_first_and_all_are_added_up() -> None:
    events = (EventCount("m0", 3, 3), EventCount("m1", 2, 0), EventCount("m2", 1, 0))
    counted = table(detected(events=events), "Events")
    assert list(counted) == ["m1", "m2", "m0", "all"]
    assert counted["all"] == ("6", "3")


def test_events_of_hundreds_of_machines_stay_one_table_of_a_page() -> None:
    events = tuple(EventCount(f"m{number}", 2, 1) for number in range(500))
    counted = table(detected(events=events), "Events")
    assert len(counted) == 32
    assert counted["470 more"] == ("940", "470")
    assert counted["all"] == ("1,000", "500")


def test_the_markdown_keeps_its_shape_whatever_the_names_are() -> None:
    facts = classified(dataclasses.replace(MEASUREMENT, positive="a|b\n<i>"), ("ok", "a|b\n<i>"))
    text = "\n\n".join(facts.to_markdown())
    assert "<i>" not in text
    assert "a\\|b &lt;i>" in text
    for block in facts.to_markdown():
        if block.startswith("|"):
            lines = [line.replace("\\|", "") for line in block.splitlines()]
            assert len({line.count("|") for line in lines}) == 1


def test_the_meaning_of_a_metric_is_that_of_the_task() -> None:
    assert table(classified(), "Metrics on held-out rows")["recall"][3] == (
        "share of the rows of the positive class that are predicted so"
    )
    facts = dataclasses.replace(detected(), measurement=Measurement({"false_alarm_rate": 0.1, "recall": 0.5}))
    metrics = table(facts, "Metrics on held-out rows")
    assert metrics["recall"][3] == "share of the anomalous rows that raise an alarm"


def test_a_number_of_events_is_neither_good_nor_bad() -> None:
    facts = dataclasses.replace(detected(), measurement=Measurement({"false_alarm_rate": 0.1, "events": 3.0}))
    assert table(facts, "Metrics on held-out rows")["events"][2] == ""


def test_a_detector_states_how_many_rows_it_was_fitted_on_and_which_were_not_used() -> None:
    data = mark_training_failures()
    facts = ModelFacts(data, data, Measurement({"false_alarm_rate": 0.02}), 0.01, training=TrainingRecord())
    assert facts.fitted_rows == "fitted on 570 normal rows (30 labelled anomalous were not used)"


def test_the_latest_rows_that_set_a_threshold_are_not_counted_as_fitted() -> None:
    data = mark_training_failures()
    timed = Dataset(data.frame.assign(at=np.arange(600)), dataclasses.replace(data.roles, time="at"), SHA)
    facts = ModelFacts(timed, timed, Measurement({"false_alarm_rate": 0.02}), 0.01, training=TrainingRecord())
    assert facts.fitted_rows == (
        "fitted on 456 normal rows (30 labelled anomalous were not used; the latest 114 set the threshold)"
    )


def test_a_threshold_has_its_value_and_the_rows_that_set_it() -> None:
    data = mark_training_failures()
    facts = ModelFacts(data, data, Measurement({"false_alarm_rate": 0.02}), 0.01, 0.61234, "570 normal rows")
    assert table(facts, "Data and split")["threshold of the score"] == ("0.6123, set by 570 normal rows",)

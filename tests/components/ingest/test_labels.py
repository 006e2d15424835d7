from typing import Any

import numpy as np
import pytest

from kfp_edge.components.ingest.reading.table_format import TableFormat
from support.ingest import IngestRunner, table


@pytest.mark.parametrize(
    ("labels", "positive", "expected"),
    [
        (["Pass", "Pass", "Fail"], "", "Fail"),
        (["ok", "ok", "defect"], "", "defect"),
        (["No", "No", "Yes"], "", "Yes"),
        (["good", "bad"], "", "good"),
        ([0, 0, 1], "", 1),
        ([1, 1, 0], "", 0),
        ([1, 1, 0], "1", 1),
        ([1.0, 1.0, 0.0], "1.0", 1),
        ([True, True, False], "", 0),
        ([True, True, False], "true", 1),
        (["Pass", "Pass", "Fail"], "Pass", "Pass"),
        (["a", "b", "c"], "", None),
    ],
)
def test_the_positive_class_is_the_rarer_one_or_the_one_asked_for(
    runner: IngestRunner, labels: list[object], positive: str, expected: object
) -> None:
    frame = table().assign(failed=[labels[row % len(labels)] for row in range(40)])
    parts = runner.run(runner.write(frame), positive=positive)
    assert (parts.train.roles.positive, parts.test.roles.positive) == (expected, expected)


@pytest.mark.parametrize(
    ("labels", "options", "stated"),
    [
        (["Pass", "Pass", "Fail"], {}, "Fail: the rarer class"),
        (["Pass", "Pass", "Fail"], {"positive": "Pass"}, "Pass: as positive says"),
        (["bad", "good"], {}, "good: the last one in sort order, as both are equally frequent"),
        (["Pass", "Pass", "Fail"], {"task": "anomaly"}, "1: 'Fail' in the data, the rarer class"),
        ([0, 0, 1], {"task": "anomaly"}, "1"),
    ],
)
def test_the_report_states_why_a_class_is_the_positive_one(
    runner: IngestRunner, labels: list[object], options: dict[str, Any], stated: str
) -> None:
    frame = table().assign(failed=[labels[row % len(labels)] for row in range(40)])
    runner.run(runner.write(frame), drop=("at", "site"), **options)
    assert f"| positive class | {stated} |" in runner.report.read_text()


def test_the_positive_class_of_an_anomaly_task_is_1_also_where_anomalies_are_frequent(runner: IngestRunner) -> None:
    frame = table().assign(failed=[int(row % 4 > 0) for row in range(40)])
    assert runner.run(runner.write(frame), task="anomaly").train.roles.positive == 1


def test_data_without_labels_has_no_positive_class(runner: IngestRunner) -> None:
    parts = runner.run(runner.write(table()), task="anomaly", target="", drop=("at", "site", "failed"))
    assert parts.train.roles.positive is None


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (
            ["Pass", "Fail"],
            {"positive": "fail"},
            "positive=fail is no class of 'failed'; did you mean Fail? its classes are 'Fail', 'Pass'",
        ),
        (["OK", "NOK"], {"positive": "Nok"}, "did you mean NOK?"),
        ([0, 1], {"positive": "2"}, "its classes are 0, 1"),
        (["a", "b", "c"], {"positive": "a"}, "for a target of two classes, and 'failed' has 3 ('a', 'b', 'c')"),
        ([0, 1], {"positive": "0", "task": "anomaly"}, "those labelled 1"),
        ([0, 1], {"positive": "1", "task": "anomaly", "target": ""}, "there are no labels"),
    ],
)
def test_a_positive_class_that_cannot_be_is_refused(
    runner: IngestRunner, labels: list[object], options: dict[str, str], message: str
) -> None:
    frame = table().assign(failed=[labels[row % len(labels)] for row in range(40)])
    runner.assert_refused(runner.write(frame), message, **options)


# --- missing labels, spellings, rare classes


@pytest.mark.parametrize("labels", [[0, 1], [0.0, 1.0], ["ok", "bad"]])
def test_rows_without_a_label_are_left_out_and_counted(runner: IngestRunner, labels: list[object]) -> None:
    frame = table().assign(failed=[labels[row % 2] if row % 10 else None for row in range(40)])
    parts = runner.run(runner.write(frame))
    assert parts.train.preparation.left_out == {"rows without a label": 4}
    assert len(parts.train.frame) + len(parts.test.frame) == 36
    assert set(parts.train.y().tolist()) == set(labels)
    assert "| rows without a label | 4 |" in runner.report.read_text()


def test_integer_labels_stay_integers_where_some_are_missing(runner: IngestRunner) -> None:
    frame = table()
    frame["failed"] = frame["failed"].astype("Int64")
    frame.loc[::10, "failed"] = None
    frame.to_parquet(runner.folder / "data.parquet")
    assert runner.run(runner.folder / "data.parquet").train.frame["failed"].dtype == np.int64


@pytest.mark.parametrize("other", ["yes", "YES"])
def test_classes_that_differ_in_case_are_named(runner: IngestRunner, other: str) -> None:
    frame = table().assign(failed=[["no", "Yes", "no", other][row % 4] for row in range(40)])
    warnings = runner.run(runner.write(frame)).train.preparation.warnings
    assert any("'Yes' (10 rows)" in text and f"{other!r} (10 rows)" in text for text in warnings)


def test_few_held_out_rows_of_the_positive_class_are_counted(runner: IngestRunner) -> None:
    warnings = runner.run(runner.write(table())).train.preparation.warnings
    assert any("only 2 of 8 held-out rows are of the class 1" in text for text in warnings)


def test_few_held_out_rows_of_one_of_several_classes_are_counted(runner: IngestRunner) -> None:
    frame = table(400).assign(failed=["a" if row % 50 == 0 else "bc"[row % 2] for row in range(400)])
    warnings = runner.run(runner.write(frame), drop=("at", "site")).train.preparation.warnings
    assert any("class 'a' has only 2 held-out rows" in text for text in warnings)


def test_a_class_without_held_out_rows_is_named(runner: IngestRunner) -> None:
    frame = table(400).assign(failed=["a" if row < 50 else "bc"[row % 2] for row in range(400)])
    warnings = runner.run(runner.write(frame), drop=("site",), time_column="at").train.preparation.warnings
    assert "class 'a' has no held-out rows, so nothing is measured for it; give more" in warnings


@pytest.mark.parametrize("rows", [1, 2])
def test_a_class_with_too_few_rows_is_refused_with_advice_that_works(runner: IngestRunner, rows: int) -> None:
    frame = table().assign(failed=["rare" if row < rows else "ab"[row % 2] for row in range(40)])
    runner.assert_refused(
        runner.write(frame), "class 'rare' of 'failed' has a single", "leave the labels of class 'rare' empty"
    )
    frame.loc[: rows - 1, "failed"] = None
    assert set(runner.run(runner.write(frame)).train.y()) == {"a", "b"}


def test_few_held_out_events_are_counted_by_machine(runner: IngestRunner) -> None:
    frame = table(400).assign(failed=[int(320 <= row < 380 and row % 5 == 0) for row in range(400)])
    options = {"task": "anomaly", "drop": (), "time_column": "at", "group_column": "site"}
    warnings = runner.run(runner.write(frame), **options, split="time").train.preparation.warnings
    assert any("the 80 held-out rows have only 1 event:" in text for text in warnings)


# --- anomaly tasks, and labels of a single class

DETECTOR: dict[str, Any] = {"task": "anomaly", "drop": ("at", "site")}


@pytest.mark.parametrize(
    ("normal", "anomalous"), [("ok", "Fail"), (1, -1), (1, 2), ("0", "1"), (0, 1), (False, True), ("Fail", "ok")]
)
def test_two_classes_are_the_labels_of_an_anomaly_task_and_the_rarer_one_is_anomalous(
    runner: IngestRunner, capsys: pytest.CaptureFixture[str], normal: object, anomalous: object
) -> None:
    frame = table()
    is_failure = frame["failed"] == 1
    frame["failed"] = [anomalous if failed else normal for failed in is_failure]
    parts = runner.run(runner.write(frame), **DETECTOR)
    assert sum(parts.train.y().tolist() + parts.test.y().tolist()) == is_failure.sum()
    if isinstance(anomalous, str) and anomalous != "1":
        stated = f"labels of 'failed': {anomalous!r} is anomalous, 1 (10 rows; the rarer class)"
        assert stated in capsys.readouterr().out
        assert f"{anomalous!r} is anomalous" in runner.report.read_text()


def test_the_anomalous_class_can_be_given(runner: IngestRunner) -> None:
    frame = table().assign(failed=["Fail" if row % 4 else "ok" for row in range(40)])
    runner.assert_refused(runner.write(frame), "positive=fail is no class of", positive="fail", **DETECTOR)
    parts = runner.run(runner.write(frame), positive="Fail", **DETECTOR)
    assert sum(parts.train.y().tolist() + parts.test.y().tolist()) == 30


def test_of_equally_frequent_classes_the_anomalous_one_is_asked_for(runner: IngestRunner) -> None:
    frame = table().assign(failed=["Fail" if row % 2 else "ok" for row in range(40)])
    runner.assert_refused(runner.write(frame), "equally frequent: name the anomalous one in positive", **DETECTOR)


def test_normal_rows_only_are_learned_without_a_target(runner: IngestRunner) -> None:
    data = runner.write(table().assign(failed=0))
    runner.assert_refused(data, "is 0 in every row; leave target empty and put the column in drop", **DETECTOR)
    runner.run(data, target="", task="anomaly", drop=("at", "site", "failed"))


@pytest.mark.parametrize("missing", ["", "n/a", "NaN"])
def test_a_class_that_is_read_as_missing_is_explained(runner: IngestRunner, missing: str) -> None:
    data = runner.write(table().assign(failed=["F" if row % 4 == 3 else missing for row in range(40)]))
    runner.assert_refused(data, "is 'F' in each of its 10 rows with a label; the other 30 are empty or were read as")


def test_labels_that_differ_in_zeros_in_front_are_different_classes(runner: IngestRunner) -> None:
    parts = runner.run(runner.write(table().assign(failed=["01" if row % 4 == 3 else "1" for row in range(40)])))
    assert parts.train.roles.positive == "01"
    assert "differ only in how they are written" in parts.train.preparation.warnings[0]


@pytest.mark.parametrize(("true", "false"), [(("1", "1.0", "True"), "0"), (("TRUE", "true", "1"), "FALSE")])
def test_true_and_1_are_the_same_label(runner: IngestRunner, true: tuple[str, ...], false: str) -> None:
    labels = [true[row // 4 % 3] if row % 4 == 3 else false for row in range(40)]
    parts = runner.run(runner.write(table().assign(failed=labels)))
    assert sorted(parts.train.frame["failed"].unique()) == [0, 1]
    assert parts.train.frame["failed"].sum() + parts.test.frame["failed"].sum() == 10


def test_a_class_that_looks_like_a_missing_label_is_named(runner: IngestRunner) -> None:
    labels = ["?" if row % 10 == 0 else "NOK" if row % 4 == 3 else "OK" for row in range(40)]
    data = runner.write(table().assign(failed=labels))
    (warning,) = (text for text in runner.run(data).train.preparation.warnings if "looks like a code" in text)
    assert 'missing_values=["?"]' in warning
    assert set(runner.run(data, table_format=TableFormat(missing_values=("?",))).train.y()) == {"OK", "NOK"}


def test_dates_are_no_labels(runner: IngestRunner) -> None:
    data = runner.write(table().assign(failed=[f"2024-01-0{1 + row % 2}" for row in range(40)]))
    runner.assert_refused(data, "'failed' is the target and holds dates or times; name the column of labels in target")

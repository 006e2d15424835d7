import numpy as np
import pytest

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
            "positive=fail is no class of 'failed'; its classes are 'Fail', 'Pass'",
        ),
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

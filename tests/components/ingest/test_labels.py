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

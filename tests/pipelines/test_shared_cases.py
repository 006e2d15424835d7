"""The tables of ../shared/cases: each gives what its README says is right."""

import subprocess
import sys
from pathlib import Path

import pytest

from support.line import Line
from support.paths import SHARED

CASES = SHARED / "cases"
pytestmark = [
    pytest.mark.skipif(not CASES.exists(), reason="the folder of shared data is not beside this checkout"),
]

FORMATS = ("decimal_comma_one_column.csv", "decimal_comma.csv", "semicolon_decimal_comma.csv", "thousands.csv")
TASKS = {"classification": {"gates": {}}, "anomaly": {"task": "anomaly", "false_alarm_rate": 0.01}}
#: Gates of a detector that is trained on a table made for a classifier: most of its features say nothing.
ANY_DETECTOR = {"gates": dict.fromkeys(("roc_auc", "recall", "event_recall", "false_alarm_rate"), "off")}


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with all tables, as the generator writes them."""
    folder = tmp_path_factory.mktemp("cases")
    subprocess.run([sys.executable, CASES / "make_tables.py", folder], check=True, capture_output=True)
    return folder


@pytest.mark.parametrize(
    "name", [f"{kind}_{seed}.csv" for kind in ("full_precision", "six_decimals") for seed in (1, 2, 3)]
)
def test_measurements_in_full_precision_give_a_bundle(line: Line, cases: Path, name: str) -> None:
    assert line.run(cases / name, target="failed").bundle


def test_rolling_windows_of_a_classifier_give_a_bundle(line: Line, cases: Path) -> None:
    result = line.run(cases / "rolling.csv", target="failed", time_column="at", rolling_windows=[5, 20])
    assert result.bundle


@pytest.mark.parametrize(
    ("name", "column"), [("epoch_counter", "counter"), ("operating_hours", "hours"), ("position", "position")]
)
def test_large_numbers_give_a_bundle_or_one_sentence_with_the_remedy(
    line: Line, cases: Path, name: str, column: str
) -> None:
    result = line.run(cases / f"{name}.csv", target="failed")
    if result.error:
        assert result.stage == "ingest"
        assert repr(column) in result.error
        assert "drop" in result.error
    else:
        assert result.bundle


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", ["missing_30_percent", "booleans", "rare_missing_category"])
def test_missing_values_give_a_bundle(line: Line, cases: Path, name: str, task: str) -> None:
    extra = ANY_DETECTOR if task == "anomaly" else {}
    assert line.run(cases / f"{name}.csv", target="failed", **TASKS[task] | extra).bundle


def test_missing_values_of_an_anomaly_task_with_time_give_a_bundle(line: Line, cases: Path) -> None:
    parameters = TASKS["anomaly"] | ANY_DETECTOR
    assert line.run(cases / "missing_anomaly.csv", target="failed", time_column="t", **parameters).bundle


@pytest.mark.parametrize(
    ("name", "code"), [("na_10", "na"), ("na_70", "na"), ("question_70", "?"), ("minus_200", "-200")]
)
def test_a_declared_code_for_missing_values_gives_a_bundle(line: Line, cases: Path, name: str, code: str) -> None:
    result = line.run(cases / f"coded_{name}.csv", target="failed", missing_values=[code])
    assert result.bundle
    assert "b" in result.train_data.roles.numeric
    assert result.metrics["roc_auc"] > 0.9


@pytest.mark.parametrize(("name", "code"), [("na_10", "na"), ("na_70", "na"), ("question_70", "?")])
def test_an_undeclared_code_is_never_a_category(line: Line, cases: Path, name: str, code: str) -> None:
    result = line.run(cases / f"coded_{name}.csv", target="failed")
    if result.error:
        assert result.stage == "ingest"
        assert "'b'" in result.error
        assert "missing_values" in result.error
        assert code in result.error
    else:
        assert result.train_data.roles.categorical == ()


def test_rows_without_a_label_are_left_out_and_counted(line: Line, cases: Path) -> None:
    result = line.run(cases / "missing_target.csv", target="failed")
    assert result.bundle
    assert len(result.train_data.frame) + len(result.test_data.frame) == 980
    assert sum(result.train_data.preparation.left_out.values()) == 20


def test_metrics_do_not_depend_on_the_names_of_the_classes(line: Line, cases: Path) -> None:
    names = {"fail_pass": "Fail", "broken_healthy": "broken", "no_yes": "Yes"}
    results = {name: line.run(cases / f"labels_{name}.csv", target="failed") for name in names}
    scalars = [
        {name: value for name, value in result.bundle.manifest.metrics.items() if "(" not in name}
        for result in results.values()
    ]
    assert scalars[0] == scalars[1] == scalars[2]
    for name, result in results.items():
        for report in ("ingest", "train", "verify", "card"):
            assert names[name] in result.read_report(report)


def test_random_features_do_not_pass_the_gates(line: Line, cases: Path) -> None:
    result = line.run(cases / "random_features_pass.csv", target="result", gates={"recall": 0.9, "precision": 0.9})
    assert result.stage == "verify"
    assert "gate" in result.error


def test_two_spellings_of_a_class_are_named(line: Line, cases: Path) -> None:
    result = line.run(cases / "labels_mixed_case.csv", target="failed")
    assert "'Yes'" in result.warnings
    assert "'yes'" in result.warnings


def test_intervals_show_how_few_failures_there_are(line: Line, cases: Path) -> None:
    result = line.run(cases / "one_in_a_thousand.csv", target="failed")
    assert result.bundle
    assert "95" in result.read_report("train")
    assert "95" in result.read_report("card")


@pytest.mark.parametrize(("name", "target"), [("target_of_40_numbers", "rul"), ("target_continuous", "hours")])
def test_a_target_of_many_numbers_gets_a_hint_at_regression(line: Line, cases: Path, name: str, target: str) -> None:
    result = line.run(cases / f"{name}.csv", target=target)
    assert "regression" in (result.error or result.warnings)


def test_a_number_is_predicted_by_regression(line: Line, cases: Path) -> None:
    result = line.run(cases / "target_continuous.csv", task="regression", target="hours", quantiles=[0.1, 0.9])
    assert result.bundle.manifest.metrics["r2"] > 0.9
    assert result.bundle.manifest.metrics["coverage"] > 0.7


def test_numbers_that_the_features_do_not_tell_are_refused_by_default(line: Line, cases: Path) -> None:
    result = line.run(cases / "target_of_40_numbers.csv", task="regression", target="rul")
    assert result.stage == "verify"
    assert "gate r2 was not met" in result.error
    gates = {"r2": "off", "baseline_p_value": "off"}
    assert line.run(cases / "target_of_40_numbers.csv", task="regression", target="rul", gates=gates).bundle


def test_a_part_without_failures_is_refused_with_true_advice(line: Line, cases: Path) -> None:
    result = line.run(cases / "no_failure_in_the_last_third.csv", target="failed", time_column="at")
    assert result.stage == "ingest"
    assert "test_fraction=0.4" in result.error
    advised = line.run(cases / "no_failure_in_the_last_third.csv", target="failed", time_column="at", test_fraction=0.4)
    assert advised.stage != "ingest"


def test_failures_of_one_machine_only_are_refused_with_true_advice(line: Line, cases: Path) -> None:
    result = line.run(cases / "one_machine_fails.csv", target="failed", group_column="machine")
    assert result.stage == "ingest"
    assert "C" in result.error
    assert "split=random" in result.error


def test_warm_up_rows_do_not_hide_failures(line: Line, cases: Path) -> None:
    result = line.run(
        cases / "runs_with_warm_up.csv",
        task="anomaly",
        target="anomaly",
        time_column="at",
        group_column="run",
        rolling_windows=[10, 60],
        false_alarm_rate=0.01,
    )
    metrics = result.bundle.manifest.metrics
    assert metrics["events"] == 4
    assert metrics["event_recall"] == 1
    assert metrics["recall"] > 0.8
    assert metrics["false_alarm_rate"] < 0.02


def test_events_are_counted_for_each_machine(line: Line, cases: Path) -> None:
    result = line.run(
        cases / "three_machines_one_event.csv",
        task="anomaly",
        target="anomaly",
        time_column="at",
        group_column="machine",
        false_alarm_rate=0.01,
    )
    assert result.bundle.manifest.metrics["events"] == 1


def test_a_column_that_gives_the_label_away_is_named(line: Line, cases: Path) -> None:
    assert "'leak'" in line.run(cases / "leak.csv", target="failed").warnings


def test_duplicate_rows_across_the_split_are_counted(line: Line, cases: Path) -> None:
    result = line.run(cases / "duplicate_rows.csv", target="failed")
    assert "duplicate" in result.warnings
    assert "%" in result.warnings


def test_large_integers_keep_their_digits_as_groups(line: Line, cases: Path) -> None:
    result = line.run(cases / "large_integer_groups.csv", target="failed", group_column="serial")
    assert result.bundle
    groups = [set(part.frame["serial"]) for part in (result.train_data, result.test_data)]
    assert len(groups[0] | groups[1]) == 10
    assert not groups[0] & groups[1]


def test_a_folder_of_runs_is_split_by_file(line: Line, cases: Path) -> None:
    result = line.run(cases / "folder_of_runs", target="failed")
    assert result.bundle
    assert result.train_data.preparation.split == "group"
    assert "file" in result.train_data.preparation.split_reason


@pytest.mark.parametrize("name", [*FORMATS, "gzip.csv.gz", "tabs.tsv"])
def test_numbers_in_another_notation_are_read_or_refused_with_the_parameter(line: Line, cases: Path, name: str) -> None:
    result = line.run(cases / name, target="failed")
    if result.error:
        assert result.stage == "ingest"
        assert any(f"{parameter}=" in result.error for parameter in ("decimal", "thousands", "separator"))
    else:
        assert result.bundle
        assert result.train_data.roles.numeric == ("a", "b", "c")
        assert result.metrics["roc_auc"] > 0.9


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("decimal_comma_one_column.csv", {"decimal": ","}),
        ("decimal_comma.csv", {"decimal": ","}),
        ("semicolon_decimal_comma.csv", {"separator": ";", "decimal": ","}),
        ("thousands.csv", {"thousands": ","}),
        ("tabs.tsv", {"separator": "\t"}),
    ],
)
def test_a_declared_notation_is_read(line: Line, cases: Path, name: str, parameters: dict[str, str]) -> None:
    result = line.run(cases / name, target="failed", **parameters)
    assert result.bundle
    assert result.train_data.roles.numeric == ("a", "b", "c")


@pytest.mark.parametrize(("name", "pattern"), [("german", "%d.%m.%Y %H:%M"), ("american", "%m/%d/%Y %H:%M")])
def test_dates_are_read_or_refused_with_the_format(line: Line, cases: Path, name: str, pattern: str) -> None:
    result = line.run(cases / f"dates_{name}.csv", target="failed", time_column="at")
    if result.error:
        assert result.stage == "ingest"
        assert f"time_format={pattern}" in result.error
    result = line.run(cases / f"dates_{name}.csv", target="failed", time_column="at", time_format=pattern)
    assert result.bundle
    assert str(result.train_data.frame["at"].min()) == "2024-01-01 00:00:00"


def test_the_doubled_hour_of_local_time_is_not_interleaved(line: Line, cases: Path) -> None:
    parameters = {"target": "failed", "time_column": "at", "rolling_windows": [2]}
    result = line.run(cases / "local_time_doubled_hour.csv", **parameters)
    assert result.stage == "ingest"
    assert "time_zone" in result.error
    result = line.run(cases / "local_time_doubled_hour.csv", **parameters, time_zone="Europe/Berlin")
    assert result.bundle
    assert set(result.train_data.frame["at"].diff().dropna().astype(str)) == {"0 days 00:01:00"}


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("150_categories.csv", {}),
        ("trailing_commas.csv", {"gates": dict.fromkeys(("roc_auc", "recall", "balanced_accuracy"), "off")}),
        ("columns_named_as_outputs.csv", {}),
        ("awkward_types.parquet", {"time_column": "at"}),
    ],
)
def test_awkward_tables_give_a_bundle(line: Line, cases: Path, name: str, parameters: dict[str, object]) -> None:
    assert line.run(cases / name, target="failed", **parameters).bundle

"""What cross-validation and tuning found out is in the report, in the metrics and in the model card."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kfp_edge import local
from support.line import Line, LineResult

FOLDS = "Metrics over folds of the training rows"
TUNED = "Hyperparameters of hist_gradient_boosting"
FEW_TREES = {"target": "failed", "hyperparameters": {"max_iter": 10}, "gates": {"roc_auc": 0.5}}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Rows of two features that decide together, as on a checkerboard, with a time."""
    random = np.random.default_rng(0)
    values = random.uniform(0, 4, (1000, 2)).round(3)
    frame = pd.DataFrame(values, columns=["heat", "torque"])
    frame["failed"] = (np.floor(frame["heat"]) + np.floor(frame["torque"])).astype(int) % 2
    frame.insert(0, "at", pd.date_range("2024-01-01", periods=1000, freq="h"))
    frame.to_csv(tmp_path / "rows.csv", index=False)
    return tmp_path / "rows.csv"


def run(line: Line, table: Path, **parameters: object) -> LineResult:
    return line.run(table, **{**FEW_TREES, "drop": ["at"], **parameters})


def test_the_report_the_card_and_the_metrics_have_each_metric_over_the_folds(line, table):
    result = run(line, table, folds=3)
    for name in ("train", "card"):
        text = result.read_report(name)
        assert FOLDS in text
        assert "3 folds of rows drawn at random, with the same share of each class." in text
    assert "Metrics of each fold" in result.read_report("train")
    low, mean, high = (result.metrics[f"cv_{statistic}(roc_auc)"] for statistic in ("low", "mean", "high"))
    assert low <= mean <= high
    assert TUNED not in result.read_report("card")


def test_the_report_and_the_card_have_the_chosen_hyperparameters(line, table):
    result = run(line, table, folds=2, tune=3)
    for name in ("train", "card"):
        text = result.read_report(name)
        assert TUNED in text
        assert "max_leaf_nodes" in text
        assert "The same folds chose the hyperparameters" in text
    assert "Trials of the search for hyperparameters" in result.read_report("train")


def test_a_model_without_folds_has_no_word_of_them(line, table):
    result = run(line, table)
    assert not [name for name in result.metrics if name.startswith("cv_")]
    assert not any(FOLDS in result.read_report(name) for name in ("train", "card"))


def test_held_out_rows_do_not_change_what_is_tuned(line, table):
    first = run(line, table, drop=[], time_column="at", folds=2, tune=3)
    rows = pd.read_csv(table)
    rows.loc[800:, "heat"] = 4 - rows.loc[800:, "heat"]
    rows.to_csv(table, index=False)
    second = run(line, table, drop=[], time_column="at", folds=2, tune=3)
    assert first.metrics["roc_auc"] != second.metrics["roc_auc"]
    assert (first.folder / "model").read_bytes() == (second.folder / "model").read_bytes()


def test_an_unusable_number_of_folds_ends_with_one_sentence(line, table):
    rows = pd.read_csv(table)
    rows["failed"] = (np.arange(1000) % 200 == 0).astype(int)
    rows.to_csv(table, index=False)
    result = run(line, table, folds=10)
    assert (result.stage, result.error) == (
        "train",
        "folds is 10, but class 1 of 'failed' has 4 training rows, and every fold holds out one; write folds=4.",
    )


@pytest.mark.slow
def test_what_train_found_out_reaches_the_card_of_a_pipeline(tmp_path, table):
    parameters = {"data": str(table), **FEW_TREES, "drop": ["at"], "folds": 2, "tune": 3}
    local.run("training", parameters, out=tmp_path / "run", on_progress=lambda _: None)
    (card,) = (tmp_path / "run").rglob("model_card.md")
    text = card.read_text()
    assert FOLDS in text
    assert TUNED in text

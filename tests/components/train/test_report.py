"""The training report: one page for a reviewer, complete for every kind of data."""

import dataclasses
import html
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from kfp_edge.components.train.report import describe_model, write_report
from kfp_edge.components.train.train import fit, measure
from kfp_edge.ml.dataset import Dataset, Preparation, Roles
from kfp_edge.ml.threads import limit_threads
from kfp_edge.tasks.anomaly.figures import plot_scores
from kfp_edge.tasks.task import TrainingOptions
from support.tables import SHA, anomalies, choose_rate, failures

NAMES = ("heat $T_1$ [K]", "torque_^" + "x" * 70, "type <b>")
PREPARATION = Preparation(split="random", warnings=("column 'code' alone gives the class of nearly every row",))


def write_page(folder: Path, train: Dataset, test: Dataset, rate: float = 0.01) -> str:
    options = TrainingOptions(0, choose_rate(train, rate))
    with limit_threads(train):
        estimator = fit(train, options)
        evaluation = measure(estimator, test)
        page = folder / "report.html"
        write_report(page, train, test, evaluation, options)
    return page.read_text()


@pytest.mark.parametrize(
    ("estimator", "hyperparameters", "described"),
    [
        ("random_forest", {"max_depth": 8.0, "max_features": 0.5}, "random_forest with max_depth=8, max_features=0.5"),
        ("svm", {"C": 10.000000001, "gamma": "scale"}, "svm with C=10, gamma=scale"),
        ("auto", {}, "hist_gradient_boosting"),
    ],
)
def test_hyperparameters_are_written_as_a_person_writes_them(estimator: str, hyperparameters, described: str) -> None:
    options = TrainingOptions(estimator=estimator, hyperparameters=hyperparameters)
    assert describe_model(options, "classification") == described


def without_figures(page: str) -> str:
    return re.sub(r'src="data:[^"]*"', "", page)


def rename(data: Dataset) -> Dataset:
    """Give the features names with marks that HTML and formulas use."""
    frame = data.frame.rename(columns=dict(zip(data.roles.features, NAMES, strict=True)))
    return Dataset(
        frame, Roles("classification", "failed", NAMES[:2], NAMES[2:], positive="_Fail $x$"), SHA, PREPARATION
    )


def test_a_classifier_has_warnings_first_then_facts_then_figures(tmp_path):
    labels = ("Pass <ok>", "_Fail $x$")
    train, test = (rename(failures(seed=seed, labels=labels)) for seed in (0, 1))
    page = without_figures(write_page(tmp_path, train, test))
    parts = [
        "alone gives the class of nearly every row",
        "positive class",
        "95 % interval",
        "Metrics of each class",
        "<img",
    ]
    positions = [page.index(part) for part in parts]
    assert positions == sorted(positions)
    assert "_Fail $x$" in page
    assert "Pass &lt;ok&gt;" in page


@pytest.mark.parametrize(
    ("estimator", "advised"),
    [
        ("logistic_regression", "The parameter calibration=sigmoid corrects them."),
        (
            LogisticRegression(class_weight="balanced"),
            "CalibratedClassifierCV with method='sigmoid' and ensemble=False",
        ),
    ],
)
def test_wrong_probabilities_are_corrected_by_what_the_estimator_can_have(tmp_path, estimator, advised):
    train, test = (failures(seed=seed, categorical=False) for seed in (0, 1))
    options = TrainingOptions(estimator=estimator)
    write_report(tmp_path / "report.html", train, test, measure(fit(train, options), test), options)
    page = html.unescape(without_figures((tmp_path / "report.html").read_text()))
    assert advised in page
    assert ("calibration=sigmoid" in page) == (estimator == "logistic_regression")


def test_a_detector_has_the_asked_rate_its_events_and_its_timeline(tmp_path):
    page = without_figures(write_page(tmp_path, anomalies(), anomalies(seed=1), rate=0.02))
    assert "0.02 asked for, " in page
    assert "set by 1,900 normal rows, each scored by a model that was fitted on other blocks" in page
    assert "Shaded stretches are labelled as failures (1 event)." in page
    assert "<td class=short>all</td><td class=short>1</td><td class=short>1</td>" in page


def test_a_detector_without_labels_promises_no_shades(tmp_path):
    page = without_figures(write_page(tmp_path, anomalies(labelled=False), anomalies(labelled=False, seed=1)))
    assert "haded" not in page
    assert "none: the data has no labels" in page
    assert "normal and anomalous" not in page
    assert page.count("<img ") == 2


def test_a_held_out_part_of_one_class_has_a_page_without_curves(tmp_path):
    data = failures(600)
    passed = Dataset(data.frame[data.y() == 0].reset_index(drop=True), data.roles, SHA)
    page = write_page(tmp_path, data, passed)
    assert "Every held-out row is of the class 0, so there are no curves." in page
    assert "not measured" in page


def test_many_classes_with_long_names_are_listed_in_full(tmp_path):
    rng = np.random.default_rng(0)
    names = np.array(
        [f"failure of the main drive by overload, kind {kind:02d} ($report$)" for kind in range(6)], object
    )
    codes = rng.integers(6, size=300)
    frame = pd.DataFrame({"level": (codes + rng.normal(0, 0.4, 300)).astype(np.float32), "kind": names[codes]})
    data = Dataset(frame, Roles("classification", "kind", ("level",), ()), SHA)
    page = without_figures(write_page(tmp_path, data, data))
    assert all(page.count(name) >= 1 for name in names)
    assert "none: there are 6 classes" in page


@pytest.mark.parametrize("make", [failures, anomalies])
def test_the_report_is_self_contained_and_the_same_each_time(tmp_path, make):
    data = make(500)
    page = write_page(tmp_path, data, data)
    assert page.count("<img ") >= 2
    assert "http" not in page
    assert "<script" not in page
    assert write_page(tmp_path, data, data) == page


def test_the_page_of_many_rows_is_as_small_as_that_of_few(tmp_path):
    few, many = anomalies(2_000), anomalies(60_000)
    sizes = [len(write_page(tmp_path, few, data)) for data in (few, many)]
    assert sizes[1] < 1.5 * sizes[0]


def test_rows_after_an_event_are_neither_normal_nor_anomalous_in_the_histogram():
    data = dataclasses.replace(anomalies(), preparation=Preparation(window_rows=50))
    estimator = fit(data, TrainingOptions(0, 0.01))
    figure = plot_scores(data, measure(estimator, data).predictions)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["normal", "anomalous", "after an event, which their windows contain", "threshold"]
    rows = [sum(bar.get_height() for bar in bars) for bars in figure.axes[0].containers]
    assert rows == [2000 - 100 - 49, 100, 49]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (TrainingOptions(), "hist_gradient_boosting"),
        (
            TrainingOptions(hyperparameters={"max_iter": 7.0}, quantile_hyperparameters={}),
            "hist_gradient_boosting with max_iter=7; quantiles with the default ones",
        ),
        (
            TrainingOptions(quantile_hyperparameters={"max_iter": 9}),
            "hist_gradient_boosting; quantiles with max_iter=9",
        ),
    ],
)
def test_the_models_of_quantiles_are_described_where_they_differ(options, expected):
    assert describe_model(options, "regression") == expected

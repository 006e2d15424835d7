"""The verification report and the model card: what a reviewer needs before a model is delivered."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kfp_edge.components.verify.latency import Latencies
from kfp_edge.components.verify.report import plot_latencies
from kfp_edge.errors import KfpEdgeError
from kfp_edge.ml.dataset import Dataset, Preparation, Roles
from support.models import verify_model, write_model
from support.tables import SHA, failures, mark_training_failures

PREPARATION = Preparation(
    split="random",
    split_reason="no time_column or group_column is given",
    left_out={"rows without a label": 12},
    warnings=("column 'code' alone gives the class of nearly every row",),
)


@pytest.fixture(scope="module")
def texts(tmp_path_factory) -> dict[str, str]:
    """Return the report and the card of a model whose gate on recall is met."""
    folder = tmp_path_factory.mktemp("texts")
    train, test = (
        dataclasses.replace(
            failures(seed=seed, labels=("ok", "defect")),
            roles=dataclasses.replace(failures(10).roles, positive="defect"),
            preparation=PREPARATION,
        )
        for seed in (0, 1)
    )
    verify_model(write_model(folder, train), train, test, gates={"recall": 0.3})
    return {
        "report": (folder / "report.html").read_text(),
        "card": (folder / "bundle" / "model_card.md").read_text(),
    }


@pytest.mark.parametrize("name", ["report", "card"])
@pytest.mark.parametrize(
    "fact",
    [
        "failed",
        "positive class",
        "defect",
        "random: no time_column or group_column is given",
        "12 (rows without a label)",
        "column 'code' alone gives the class of nearly every row",
        "95 % interval",
        "gate recall(defect)",
        "at least 0.3",
        "lower is better",
        "Metrics of each class",
    ],
)
def test_a_reviewer_finds_every_fact_in_the_report_and_in_the_card(texts, name, fact):
    text = texts[name].replace("&#x27;", "'")
    assert fact in text


def test_the_card_depends_on_no_machine(texts):
    assert "latency" not in texts["card"]
    assert " ms" not in texts["card"]


def write_wide_model(folder: Path, features: int) -> Dataset:
    rng = np.random.default_rng(0)
    names = [
        f"spectrum band {band:03d} of the left vibration sensor at the main bearing [mm/s]" for band in range(features)
    ]
    frame = pd.DataFrame(rng.normal(size=(150, features)).astype(np.float32), columns=names)
    frame["failed"] = (frame.iloc[:, 0] > 0.5).astype(np.int64)
    data = Dataset(frame, Roles("classification", "failed", tuple(names), (), positive=1), SHA)
    write_model(folder, data)
    return data


def test_the_worst_rows_of_hundreds_of_features_fit_on_a_page(tmp_path):
    data = write_wide_model(tmp_path, 60)
    verify_model(tmp_path, data, data)
    page = (tmp_path / "report.html").read_text()
    assert "The 5 worst rows, with the first 50 of 60 features:" in page
    assert max(row.count("<td") for row in page.split("<tr>")) <= 7


@pytest.mark.parametrize("slow", [0.1, 8.0])
def test_the_latencies_of_a_busy_machine_stay_readable_beside_a_few_slow_ones(slow):
    """Most of 200 inferences take about 0.1 ms, and three take as long as another program had the processor."""
    wall = np.concatenate([np.linspace(0.08, 0.12, 197), [slow] * 3])
    (axis,) = plot_latencies(Latencies(wall, wall)).axes
    bars = [bar for bar in axis.patches if bar.get_height() > 0]
    assert sum(bar.get_height() for bar in bars) == 200
    assert len(bars) >= 5


def test_a_refused_model_has_the_facts_too(tmp_path):
    with pytest.raises(KfpEdgeError, match="gate log_loss"):
        verify_model(write_model(tmp_path, failures()), failures(), failures(seed=1), gates={"log_loss": 1e-9})
    assert "Data and split" in (tmp_path / "report.html").read_text()


def test_the_card_of_a_detector_states_the_normal_rows_it_was_fitted_on(tmp_path):
    data = mark_training_failures()
    verify_model(write_model(tmp_path, data), data, data)
    card = (tmp_path / "bundle" / "model_card.md").read_text()
    assert "A model for anomaly detection, fitted on 570 normal rows (30 labelled anomalous were not used)" in card
    assert "range or categories in the normal training rows" in card

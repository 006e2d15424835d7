"""Every notebook runs in a new kernel, displays its results, and is committed without outputs."""

import os
import re
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import nbformat
import pandas as pd
import pytest

from kfp_edge.ml import dataset
from kfp_edge.ml.dataset import Dataset
from support.fake_kfp.store import NAMESPACE
from support.models import write_model
from support.notebooks import (
    FOLDER,
    NOTEBOOKS,
    USER,
    displayed_data,
    execute,
    openshift_ai,
    printed_text,
    strip_outputs,
)
from support.tables import failures

EXPLORE, RUN, LAUNCH, SCHEDULE, COMPOSE, RAW_ROWS, PREDICT = NOTEBOOKS


@pytest.fixture
def laptop(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a laptop without a cluster."""
    for name in ("KUBECONFIG", "KFP_EDGE_HOST", "KFP_EDGE_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return dict(os.environ)


def _name(path: Path) -> str:
    return path.stem


@pytest.mark.slow
def test_notebook_1_trains_and_verifies_a_model(tmp_path, laptop):
    notebook = execute(EXPLORE, tmp_path, laptop)
    assert (tmp_path / ".kfp-edge/explore/model.onnx").exists()
    assert len(displayed_data(notebook, "image/png")) == 4
    tables = displayed_data(notebook, "text/html")
    assert any("roc_auc" in table and "95 % interval" in table for table in tables)
    assert any("roc_auc" in table and "lowest" in table for table in tables)
    assert any("roc_auc" in table and "learning_rate" in table for table in tables)
    assert any("gate balanced_accuracy" in table and "by default" in table for table in tables)
    assert any("ZipMap was removed" in notes for notes in displayed_data(notebook, "text/markdown"))
    assert printed_text(notebook, "stderr") == ""


@pytest.mark.slow
@pytest.mark.parametrize("labels", [("ok", "defect"), ("high", "low", "medium")], ids=" ".join)
def test_notebook_1_takes_a_table_of_your_own(tmp_path, laptop, labels):
    """With classes in words, columns of other names, and missing cells."""
    table = failures(1500, labels=labels[:2]).frame
    for position, name in enumerate(labels[2:], 1):
        table.loc[table.index % (6 + position) == 0, "failed"] = name
    table.loc[::9, ["heat [K]", "type"]] = None
    table.to_csv(tmp_path / "parts.csv", index=False)
    generated = '{"data": "synthetic:ai4i?rows=10000&seed=0"}'
    notebook = execute(EXPLORE, tmp_path, laptop, {generated: '{"data": "parts.csv", "target": "failed"}'})
    assert len(displayed_data(notebook, "image/png")) == 4
    assert any(f"gate recall({labels[1]})" in table for table in displayed_data(notebook, "text/html"))


@pytest.mark.slow
def test_notebook_6_sends_raw_rows(tmp_path, laptop):
    notebook = execute(RAW_ROWS, tmp_path, laptop)
    printed = printed_text(notebook, "stdout")
    assert "202 [{'row': 0, 'status': 'warming_up', 'group': 'press-1', 'rows_seen': 1, 'rows_needed': 30}]" in printed
    assert "202 answered: [29, 30, 31]" in printed
    (figure,) = [data for data in displayed_data(notebook, "text/html") if data.startswith("<img")]
    assert 'alt="pressure of press-1' in figure
    assert printed_text(notebook, "stderr") == ""


@pytest.mark.containers
def test_notebook_2_builds_an_image_and_displays_the_report(tmp_path, laptop):
    notebook = execute(RUN, tmp_path, laptop)
    assert re.search(r"^image: oci:\S+@sha256:[0-9a-f]{64}$", printed_text(notebook, "stdout"), re.MULTILINE)
    assert any("Training report" in page for page in displayed_data(notebook, "text/html"))
    assert "gate recall(1) was not met: measured" in printed_text(notebook, "stdout")
    assert printed_text(notebook, "stderr") == ""


@pytest.mark.slow
def test_notebook_3_submits_a_run_from_a_workbench_and_displays_its_results(tmp_path, laptop):
    with openshift_ai(tmp_path / "cluster") as cluster:
        notebook = execute(LAUNCH, tmp_path / "work", {**laptop, **cluster.pod(USER, NAMESPACE)})
    assert "has no parameter 'gate'; did you mean gates?" in printed_text(notebook, "stdout")
    assert "verify succeeded" in printed_text(notebook, "stdout")
    assert any("roc_auc" in table for table in displayed_data(notebook, "text/html"))
    assert any("Training report" in page for page in displayed_data(notebook, "text/html"))
    assert printed_text(notebook, "stderr") == ""


@pytest.mark.slow
def test_notebook_4_schedules_from_a_laptop_and_cleans_up(tmp_path, laptop):
    with openshift_ai(tmp_path / "cluster") as cluster:
        notebook = execute(SCHEDULE, tmp_path / "work", {**laptop, **cluster.environ(USER, NAMESPACE)})
    assert "has 5 fields, and needs six" in printed_text(notebook, "stdout")
    assert len(displayed_data(notebook, "image/png")) == 2
    assert displayed_data(notebook, "text/plain")[-1] == "[]"
    assert printed_text(notebook, "stderr") == ""


@pytest.mark.slow
def test_notebook_5_composes_a_pipeline_that_validates_and_runs(tmp_path, laptop):
    notebook = execute(COMPOSE, tmp_path, laptop)
    assert re.search("^0 errors", printed_text(notebook, "stdout"), re.MULTILINE)
    assert set(re.findall(r"^KE\d+", printed_text(notebook, "stdout"), re.MULTILINE)) <= {"KE001"}
    assert re.search(r"^alarm-threshold .* succeeded$", printed_text(notebook, "stdout"), re.MULTILINE)
    assert printed_text(notebook, "stderr") == ""


@pytest.mark.slow
def test_notebook_7_predicts_a_number_with_quantiles_and_the_remaining_cycles_of_engines(tmp_path, laptop):
    notebook = execute(PREDICT, tmp_path, laptop)
    assert (tmp_path / ".kfp-edge/regression/bundle/manifest.json").exists()
    assert any("mae_skill" in table and "95 % interval" in table for table in displayed_data(notebook, "text/html"))
    figures = [data for data in displayed_data(notebook, "text/html") if data.startswith("<img")]
    assert len(figures) == 3
    assert all('alt="' in figure and "max-width:100%" in figure for figure in figures)
    answers = displayed_data(notebook, "text/plain")
    assert any(all(name in answer for name in ("prediction", "quantile_0.1", "quantile_0.9")) for answer in answers)
    engines = dataset.load(tmp_path / ".kfp-edge/regression/life/test.parquet")
    assert engines.frame["remaining_useful_life"].max() == 125
    assert printed_text(notebook, "stderr") == ""


def test_an_alarm_threshold_is_chosen_for_the_positive_class_whatever_it_is_called(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    numbers, words = (
        _find_costs(tmp_path / labels[1], failures(1500, labels=labels)) for labels in (("0", "1"), ("ok", "defect"))
    )
    assert numbers.chosen_on.nunique() > 1
    pd.testing.assert_frame_equal(words, numbers, rtol=1e-3)


def _find_costs(folder: Path, data: Dataset) -> pd.DataFrame:
    """Return what alarms cost by threshold, as the component of notebook 5 writes it."""
    folder.mkdir()
    write_model(folder, data)
    positive = data.frame["failed"].value_counts().index[-1]
    dataset.save(replace(data, roles=replace(data.roles, positive=positive)), folder / "rows.parquet")
    files = {name: SimpleNamespace(path=str(folder / name)) for name in ("costs", "report")}
    import_module("alarm_threshold").alarm_threshold.python_func(
        onnx_model=SimpleNamespace(path=folder / "model.onnx"),
        test_data=SimpleNamespace(path=folder / "rows.parquet"),
        metrics=Mock(),
        **files,
    )
    return pd.read_csv(folder / "costs")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=_name)
def test_a_notebook_in_git_has_no_outputs(path):
    assert path.read_text(encoding="utf-8") == strip_outputs(path), (
        "strip it: PYTHONPATH=tests .venv/bin/python -m support.notebooks"
    )


@pytest.mark.parametrize("path", NOTEBOOKS, ids=_name)
def test_every_link_in_a_notebook_resolves(path):
    cells = nbformat.read(path, as_version=4).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if not link.startswith("https://")]
    assert [link for link in links if not (FOLDER / link).exists()] == []

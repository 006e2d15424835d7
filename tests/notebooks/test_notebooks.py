"""Every notebook runs from a fresh kernel, shows what it promises, and stands in git without outputs."""

import os
import re
from pathlib import Path

import nbformat
import pytest

from support.fake_kfp.store import NAMESPACE
from support.notebooks import FOLDER, NOTEBOOKS, USER, execute, openshift_ai, said, shown, stripped

EXPLORE, LINE, LAUNCH, SCHEDULE, COMPOSE = NOTEBOOKS


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a laptop: no cluster is known."""
    for name in ("KUBECONFIG", "KFP_EDGE_HOST", "KFP_EDGE_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return dict(os.environ)


def _name(path: Path) -> str:
    return path.stem


def test_notebook_1_trains_a_model_and_has_it_judged(tmp_path, here):
    notebook = execute(EXPLORE, tmp_path, here)
    assert (tmp_path / ".kfp-edge/explore/model.onnx").exists()
    assert len(shown(notebook, "image/png")) == 4
    assert said(notebook, "stderr") == ""


@pytest.mark.containers
@pytest.mark.xdist_group("line")
def test_notebook_2_ends_in_an_image_and_shows_the_report(tmp_path, here):
    notebook = execute(LINE, tmp_path, here)
    assert re.search(r"^image: oci:\S+@sha256:[0-9a-f]{64}$", said(notebook, "stdout"), re.MULTILINE)
    assert any("Training report" in page for page in shown(notebook, "text/html"))
    assert "gate recall was not met" in said(notebook, "stdout")
    assert said(notebook, "stderr") == ""


def test_notebook_3_launches_a_run_from_a_workbench_and_shows_its_metrics_and_report(tmp_path, here):
    with openshift_ai(tmp_path / "cluster") as cluster:
        notebook = execute(LAUNCH, tmp_path / "desk", {**here, **cluster.pod(USER, NAMESPACE)})
    assert "has no parameter 'gate'; did you mean gates?" in said(notebook, "stdout")
    assert "verify succeeded" in said(notebook, "stdout")
    assert any("roc_auc" in table for table in shown(notebook, "text/html"))
    assert any("Training report" in page for page in shown(notebook, "text/html"))
    assert said(notebook, "stderr") == ""


def test_notebook_4_schedules_from_a_laptop_and_leaves_no_schedule(tmp_path, here):
    with openshift_ai(tmp_path / "cluster") as cluster:
        notebook = execute(SCHEDULE, tmp_path / "desk", {**here, **cluster.environ(USER, NAMESPACE)})
    assert "has 5 fields, and needs six" in said(notebook, "stdout")
    assert len(shown(notebook, "image/png")) == 2
    assert shown(notebook, "text/plain")[-1] == "[]"
    assert said(notebook, "stderr") == ""


def test_notebook_5_composes_a_pipeline_that_a_cluster_takes_and_that_runs_here(tmp_path, here):
    notebook = execute(COMPOSE, tmp_path, here)
    assert re.search("^0 errors", said(notebook, "stdout"), re.MULTILINE)
    assert re.search(r"^alarm-threshold .* succeeded$", said(notebook, "stdout"), re.MULTILINE)
    assert said(notebook, "stderr") == ""


@pytest.mark.parametrize("path", NOTEBOOKS, ids=_name)
def test_a_notebook_in_git_has_no_outputs(path):
    assert path.read_text(encoding="utf-8") == stripped(path), "strip it: .venv/bin/python tests/support/notebooks.py"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=_name)
def test_every_link_of_a_notebook_leads_somewhere(path):
    cells = nbformat.read(path, as_version=4).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if not link.startswith("https://")]
    assert [link for link in links if not (FOLDER / link).exists()] == []

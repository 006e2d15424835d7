"""The stage `compare_models`: bundles of real models on the same held-out rows, and its page."""

from pathlib import Path

import pytest
from kfp.dsl import HTML, Artifact, Metrics
from kfp.dsl import Dataset as DatasetArtifact

from kfp_edge.components.compare_models.compare_models import compare_models as compare
from kfp_edge.components.compare_models.component import compare_models
from kfp_edge.errors import KfpEdgeError
from kfp_edge.ml import dataset
from kfp_edge.ml.dataset import Dataset
from kfp_edge.storage.files import canonical_json
from support.models import verify_model, write_model
from support.tables import anomalies, failures


def bundle_of(folder: Path, data: Dataset) -> Path:
    folder.mkdir(parents=True)
    return verify_model(write_model(folder, data), data, data, max_latency_ms=1000, gates={"recall": "off"}).folder


def champion_of(folder: Path, bundle: Path | None) -> Path:
    """Write what `fetch_champion` writes."""
    folder.mkdir()
    facts = {"model": "pump", "version": "1.0.0" if bundle else "", "where": "the ring canary", "image": "x@sha256:1"}
    (folder / "champion.json").write_bytes(canonical_json(facts))
    if bundle:
        bundle.rename(folder / "bundle")
    return folder


@pytest.fixture
def test_data(tmp_path: Path) -> Path:
    dataset.save(failures(1500, seed=5), tmp_path / "test")
    return tmp_path / "test"


def test_a_model_of_more_rows_is_better_and_the_page_shows_both(tmp_path: Path, test_data: Path) -> None:
    champion = champion_of(tmp_path / "champion", bundle_of(tmp_path / "old", failures(120, seed=2)))
    metrics = Metrics(uri=str(tmp_path / "metrics"))
    outputs = compare_models.python_func(
        Artifact(uri=str(bundle_of(tmp_path / "new", failures(4000, seed=1)))),
        Artifact(uri=str(champion)),
        DatasetArtifact(uri=str(test_data)),
        metrics,
        HTML(uri=str(tmp_path / "report.html")),
    )
    assert outputs[0] == "better", outputs[1]
    assert metrics.metadata["roc_auc(all, gain)"] > 0
    page = (tmp_path / "report.html").read_text()
    assert "The new model is better. In use: pump 1.0.0 in the ring canary." in page
    assert "all held-out rows" in page


def test_the_same_model_is_not_better_and_the_warning_has_the_numbers(tmp_path: Path, test_data: Path) -> None:
    data = failures(1000, seed=1)
    champion = champion_of(tmp_path / "champion", bundle_of(tmp_path / "old", data))
    result = compare(bundle_of(tmp_path / "new", data), champion, test_data, "", 0.01, tmp_path / "report.html")
    assert result.verdict == "not better"
    assert result.warnings == [f"the new model is not delivered: {result.reason}"]
    assert "the gain is at least 0 with a confidence of 95%" in result.reason


def test_without_a_model_in_use_the_new_one_is_better(tmp_path: Path, test_data: Path) -> None:
    champion = champion_of(tmp_path / "champion", None)
    result = compare(tmp_path / "new", champion, test_data, "", 0.01, tmp_path / "report.html")
    assert (result.verdict, result.warnings) == ("better", [])
    assert "pump is not in use yet" in (tmp_path / "report.html").read_text()


def test_a_model_for_another_task_is_named(tmp_path: Path, test_data: Path) -> None:
    champion = champion_of(tmp_path / "champion", bundle_of(tmp_path / "old", anomalies(500)))
    new = bundle_of(tmp_path / "new", failures(1000))
    with pytest.raises(KfpEdgeError, match="pump 1.0.0 in the ring canary is a model for anomaly") as caught:
        compare(new, champion, test_data, "", 0.01, tmp_path / "report.html")
    assert str(caught.value).endswith(
        "; deliver the new model with the pipeline edge_mlops, which needs no comparison."
    )

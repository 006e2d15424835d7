"""Training as the component does it: what a reader should doubt is in the report, and for the log of the run."""

import dataclasses
from pathlib import Path

import numpy as np

from kfp_edge.components.train.run import train_and_save
from kfp_edge.ml import dataset
from kfp_edge.ml.dataset import Preparation
from kfp_edge.ml.skops_model import load_model
from kfp_edge.model_selection.record import METADATA_KEY, parse_record
from kfp_edge.model_selection.selection import SelectionOptions
from kfp_edge.tasks.task import TrainingOptions
from support.tables import failures

OPTIONS = TrainingOptions(estimator="decision_tree")


def test_doubts_are_in_the_report_and_in_the_warnings_of_the_run(tmp_path: Path) -> None:
    for name, machines, seed in (("train", 12, 0), ("test", 2, 1)):
        data = failures(1000, seed)
        frame = data.frame.assign(machine=np.arange(1000) % machines + 100 * seed)
        roles = dataclasses.replace(data.roles, group="machine")
        split = dataclasses.replace(data, frame=frame, roles=roles, preparation=Preparation("group"))
        dataset.save(split, tmp_path / name)
    model, report = tmp_path / "model", tmp_path / "report.html"
    files = (tmp_path / "train", tmp_path / "test")
    trained = train_and_save(*files, OPTIONS, SelectionOptions(folds=3), model=model, report=report)
    (warning,) = trained.warnings
    assert "only 2 groups of &#x27;machine&#x27;" in report.read_text()
    assert "only 2 groups of 'machine'" in warning
    assert {"roc_auc", "cv_mean(roc_auc)"} <= trained.metrics.keys()
    assert parse_record(trained.metadata[METADATA_KEY]) == trained.record
    assert load_model(model).predict(dataset.load(files[1]).x()).shape == (1000,)

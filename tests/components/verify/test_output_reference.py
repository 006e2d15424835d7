"""The bundle has the distribution of the model's answers for held-out rows, which drift is measured against."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kfp_edge.components.verify.reference import compute_output_reference
from kfp_edge.ml.bundle import OutputReference
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.onnx_model import OnnxModel
from support.models import write_model
from support.tables import anomalies, failures
from support.wear_tables import split_wear, wear


def _export(data: Dataset, folder: Path) -> OnnxModel:
    return OnnxModel.load(write_model(folder, data) / "model.onnx")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> OnnxModel:
    return _export(failures(), tmp_path_factory.mktemp("classifier"))


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> OnnxModel:
    return _export(anomalies(), tmp_path_factory.mktemp("detector"))


def _compute(model: OnnxModel, data: Dataset) -> OutputReference:
    outputs = compute_output_reference(model, data)
    assert outputs is not None
    return outputs


def _check(outputs: OutputReference, name: str, values: np.ndarray) -> None:  # type: ignore[type-arg]
    """Check that the only histogram is that of these values."""
    assert list(outputs.values) == [name]
    histogram = outputs.values[name]
    assert list(histogram.counts) == np.histogram(values, np.array(histogram.edges, values.dtype))[0].tolist()
    assert sum(histogram.counts) + histogram.missing == outputs.rows == len(values)


def test_of_two_classes_it_has_the_probability_of_the_positive_one(classifier: OnnxModel) -> None:
    data = failures(seed=1)
    answers = classifier.run(classifier.to_input_feed(data.x()))
    outputs = _compute(classifier, data)
    labels, counts = np.unique(answers["label"], return_counts=True)
    assert outputs.classes == dict(zip(map(str, labels), counts.tolist(), strict=True))
    assert outputs.positive == "1"
    _check(outputs, "probability", answers["probabilities"][:, 1])


def test_the_positive_class_may_be_the_first_one(classifier: OnnxModel) -> None:
    data = failures(seed=1)
    data = replace(data, roles=replace(data.roles, positive=0))
    answers = classifier.run(classifier.to_input_feed(data.x()))
    outputs = _compute(classifier, data)
    assert outputs.positive == "0"
    _check(outputs, "probability", answers["probabilities"][:, 0])


def test_of_a_detector_it_has_the_scores_of_normal_rows(detector: OnnxModel) -> None:
    data = anomalies(seed=1)
    normal = data.x()[data.y() == 0]
    answers = detector.run(detector.to_input_feed(normal))
    outputs = _compute(detector, data)
    alarms = int(answers["label"].sum())
    assert outputs.classes == {"0": len(normal) - alarms, "1": alarms}
    assert outputs.positive is None
    _check(outputs, "score", answers["score"].reshape(-1))


def test_an_alarm_is_a_class_also_where_no_row_raised_one(detector: OnnxModel) -> None:
    data = anomalies(seed=1)
    scores = detector.run(detector.to_input_feed(data.x()))["score"].reshape(-1)
    calm = replace(data, frame=data.frame[scores < np.median(scores)])
    classes = _compute(detector, calm).classes
    assert classes is not None
    assert classes["1"] == 0


def test_of_a_number_it_has_the_number_alone(tmp_path: Path) -> None:
    train, test = split_wear(wear())
    model = _export(train, tmp_path)
    outputs = _compute(model, test)
    assert outputs.classes is None
    _check(outputs, "prediction", model.run(model.to_input_feed(test.x()))["prediction"].reshape(-1))


def test_rows_that_the_server_refuses_are_not_counted(classifier: OnnxModel) -> None:
    data = failures(seed=1)
    frame = data.frame.assign(type=np.where(np.arange(len(data.frame)) < 100, "another", data.frame["type"]))
    assert _compute(classifier, replace(data, frame=frame)).rows == len(frame) - 100
    refused = replace(data, frame=frame.iloc[:100])
    assert compute_output_reference(classifier, refused) is None

"""Detectors: label 1 is an alarm and a higher score more anomalous, whatever the model that was brought calls them."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from kfp_edge.errors import KfpEdgeError
from kfp_edge.ml.onnx_model import read_notes
from support.brought import answer, export_brought, make_net
from support.brought_tables import make_anomaly_data

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
node = helper.make_node

DETECTORS = [
    IsolationForest(n_estimators=20, random_state=0, contamination=0.05),
    make_pipeline(StandardScaler(), OneClassSVM(nu=0.05)),
    make_pipeline(StandardScaler(), LocalOutlierFactor(20, novelty=True, contamination=0.05)),
]


def make_detector(*tail: onnx.NodeProto, label: bool = True, **constants: Any) -> onnx.ModelProto:
    """Return a net whose `distance` [rows, 1] is how far the scaled features are from 0; `tail` makes the outputs."""
    distance = node("ReduceL2", ["scaled", "axis"], ["distance"], keepdims=1)
    outputs: dict[str, tuple[int, list[int | None]]] = {"score": (FLOAT, [None, 1])}
    if label:
        outputs["label"] = (INT64, [None, 1])
    return make_net(distance, *tail, outputs=outputs, constants={"axis": np.array([1]), **constants})


def compute_distances() -> Any:
    """Return the distances of the rows, shape [rows]."""
    features = make_anomaly_data().x().to_numpy().astype(np.float64)
    return np.sqrt((((features - (50, 6, 1500)) / (5, 1, 200)) ** 2).sum(axis=1))


SCORE = node("Identity", ["distance"], ["score"])
ABOVE = (node("Greater", ["distance", "limit"], ["is_above"]), node("Cast", ["is_above"], ["label"], to=INT64))
LIMIT = {"limit": np.float32(5)}


@pytest.mark.parametrize("labelled", [True, False], ids=["labelled", "not labelled"])
@pytest.mark.parametrize("detector", DETECTORS, ids=["isolation forest", "one-class SVM", "local outlier factor"])
def test_a_detector_of_skl2onnx_is_turned(detector: Any, labelled: bool, tmp_path: Path) -> None:
    data = make_anomaly_data(labelled=labelled)
    features = data.x().to_numpy()
    fitted = detector.fit(features[make_anomaly_data().y() == 0])
    proto = to_onnx(fitted, features[:1], target_opset={"": 18, "ai.onnx.ml": 3})
    model = export_brought(proto, data, tmp_path)
    answers = answer(model, data)
    label, score = model.signature.outputs
    assert (label.shape, score.shape, score.threshold) == ((-1,), (-1,), 0)
    np.testing.assert_allclose(answers["score"], -fitted.decision_function(features), atol=1e-4)
    assert answers["label"].tolist() == (answers["score"] > 0).astype(int).tolist()
    is_decided = np.abs(fitted.decision_function(features)) > 1e-4
    assert answers["label"][is_decided].tolist() == (fitted.predict(features) == -1).astype(int)[is_decided].tolist()
    assert "score was negated" in " ".join(read_notes(model.proto))


def test_the_limit_that_a_detector_compares_its_score_with_becomes_its_threshold(tmp_path: Path) -> None:
    data = make_anomaly_data()
    model = export_brought(make_detector(SCORE, *ABOVE, **LIMIT), data, tmp_path)
    answers = answer(model, data)
    assert model.signature.outputs[1].threshold == 5
    np.testing.assert_allclose(answers["score"], compute_distances(), rtol=1e-5)
    assert answers["label"].tolist() == (compute_distances() > 5).astype(int).tolist()


def test_a_score_that_is_lower_for_an_anomaly_is_negated_with_its_limit(tmp_path: Path) -> None:
    data = make_anomaly_data()
    below = node("Less", ["score", "limit"], ["is_below"]), node("Cast", ["is_below"], ["label"], to=INT64)
    proto = make_detector(node("Neg", ["distance"], ["score"]), *below, limit=np.float32(-5))
    model = export_brought(proto, data, tmp_path)
    assert model.signature.outputs[1].threshold == 5
    assert answer(model, data)["label"].tolist() == (compute_distances() > 5).astype(int).tolist()


def test_a_limit_that_is_no_constant_is_asked_for(tmp_path: Path) -> None:
    data = make_anomaly_data()
    sizes = node("Mul", ["deviation", "one_of"], ["part"]), node("ReduceSum", ["part"], ["limit"], keepdims=0)
    proto = make_detector(SCORE, *sizes, *ABOVE, one_of=np.array([1, 0, 0], np.float32))
    with pytest.raises(KfpEdgeError, match=r"label changes between the scores \d.* and \d.*give .* as model_threshold"):
        export_brought(proto, data, tmp_path)
    with pytest.raises(KfpEdgeError, match="not at model_threshold=50"):
        export_brought(proto, data, tmp_path, threshold=50.0)
    model = export_brought(proto, data, tmp_path, threshold=5.0)
    assert model.signature.outputs[1].threshold == 5
    assert answer(model, data)["label"].tolist() == (compute_distances() > 5).astype(int).tolist()


def test_a_score_without_a_label_gets_the_threshold_of_the_false_alarm_rate(tmp_path: Path) -> None:
    data = make_anomaly_data()
    model = export_brought(make_detector(SCORE, label=False), data, tmp_path, false_alarm_rate=0.05)
    alarms = answer(model, data)["label"][data.y() == 0]
    assert 0 < alarms.mean() <= 0.05
    assert "a higher score is taken as more anomalous; the threshold" in " ".join(read_notes(model.proto))


def test_a_threshold_that_the_user_states_is_taken_for_a_score_without_a_label(tmp_path: Path) -> None:
    data = make_anomaly_data(labelled=False)
    model = export_brought(make_detector(SCORE, label=False), data, tmp_path, threshold=5.0)
    assert answer(model, data)["label"].tolist() == (compute_distances() > 5).astype(int).tolist()


@pytest.mark.parametrize(
    ("proto", "message"),
    [
        (make_detector(node("Neg", ["distance"], ["score"]), label=False), "higher for normal rows than for anomalies"),
        (
            make_detector(SCORE, node("ArgMax", ["logits"], ["label"], axis=1)),
            "label does not follow from a limit of its score",
        ),
        (
            make_detector(
                SCORE,
                node("ArgMax", ["scaled"], ["best"], axis=1),
                node("Add", ["best", "two"], ["label"]),
                two=np.array(2),
            ),
            "labels are 2, 3, 4; those of a detector are 0 and 1",
        ),
        (
            make_net(node("Identity", ["scaled"], ["out"]), outputs={"out": (FLOAT, [None, 3])}),
            r"outputs out \[rows, 3\]; a detector gives one score for each row",
        ),
        (
            make_detector(
                node("Log", ["centred"], ["logs"]), node("Gather", ["logs", "axis"], ["score"], axis=1), label=False
            ),
            "NaN or infinite",
        ),
    ],
    ids=["other direction", "label of something else", "other labels", "reconstruction", "NaN"],
)
def test_what_is_no_detector_of_these_rows_is_refused(proto: onnx.ModelProto, message: str, tmp_path: Path) -> None:
    with pytest.raises(KfpEdgeError, match=message):
        export_brought(proto, make_anomaly_data(), tmp_path)

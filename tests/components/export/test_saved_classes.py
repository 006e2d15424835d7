"""The classes of a saved scikit-learn model and those of the data: the same, a mapping, or one sentence."""

import dataclasses

import numpy as np
import pytest
import sklearn
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from kfp_edge.components.export.export import export_model
from kfp_edge.errors import KfpEdgeError
from kfp_edge.ml.onnx_model import OnnxModel
from kfp_edge.ml.skops_model import save_model
from kfp_edge.tasks.brought import BroughtOptions
from kfp_edge.tasks.registry import predict_onnx
from support.models import verify_model
from support.skops_files import set_attribute
from support.tables import failures


def _name_classes(data, names):
    frame = data.frame.copy()
    target = data.roles.target
    frame[target] = np.array(names, object if isinstance(names[0], str) else np.int64)[frame[target].to_numpy()]
    return dataclasses.replace(data, frame=frame, roles=dataclasses.replace(data.roles, positive=names[1]))


def _save(tmp_path, data):
    model = make_pipeline(StandardScaler(), RandomForestClassifier(20, max_depth=4, random_state=0))
    save_model(model.fit(data.x(), data.y()), tmp_path / "model.skops")
    return model


@pytest.mark.parametrize("names", [(1, 2), ("good", "bad")])
def test_a_mapping_makes_the_labels_those_of_the_data_and_the_original_is_compared_with_them(tmp_path, names):
    encoded, test = failures(1000, categorical=False), failures(500, seed=1, categorical=False)
    model = _save(tmp_path, encoded)
    train, test = _name_classes(encoded, names), _name_classes(test, names)
    options = BroughtOptions(classes={"0": names[0], "1": names[1]})
    export_model(tmp_path / "model.skops", train, tmp_path / "model.onnx", options)
    answers = predict_onnx(OnnxModel.load(tmp_path / "model.onnx"), test.x())
    expected = np.array(names, object)[model.predict(test.x().astype(float))]
    assert answers.label.tolist() == expected.tolist()
    assert verify_model(tmp_path, train, test, max_latency_ms=1000).manifest.metrics["accuracy"] > 0.9


def test_a_mapping_keeps_the_decision_threshold_with_the_name_of_its_positive_class(tmp_path):
    encoded = failures(600, categorical=False)
    model = make_pipeline(StandardScaler(), LogisticRegression())
    decided = FixedThresholdClassifier(model, threshold=0.2, response_method="predict_proba")
    save_model(decided.fit(encoded.x(), encoded.y()), tmp_path / "model.skops")
    data = _name_classes(encoded, ("good", "bad"))
    options = BroughtOptions(classes={"0": "good", "1": "bad"})
    export_model(tmp_path / "model.skops", data, tmp_path / "model.onnx", options)
    exported = OnnxModel.load(tmp_path / "model.onnx")
    probabilities = exported.signature.outputs[1]
    assert (probabilities.classes, probabilities.positive) == (("good", "bad"), "bad")
    assert probabilities.threshold == pytest.approx(0.2)
    expected = np.array(["good", "bad"], object)[decided.predict(data.x())]
    assert predict_onnx(exported, data.x()).label.tolist() == expected.tolist()


def test_other_classes_without_a_mapping_are_refused_with_one_to_copy(tmp_path):
    data = failures(400, categorical=False)
    _save(tmp_path, data)
    with pytest.raises(
        KfpEdgeError, match=r'the model has the classes 0, 1, the data 1, 2; state .*\{"0": 1, "1": 2\}'
    ):
        export_model(tmp_path / "model.skops", _name_classes(data, (1, 2)), tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_the_card_says_which_other_scikit_learn_saved_the_model(tmp_path):
    train, test = failures(1000, categorical=False), failures(500, seed=1, categorical=False)
    _save(tmp_path, train)
    for version, is_stated in ((sklearn.__version__, False), ("1.8.0", True)):
        set_attribute(tmp_path / "model.skops", "_sklearn_version", version)
        export_model(tmp_path / "model.skops", train, tmp_path / "model.onnx")
        bundle = verify_model(tmp_path, train, test, max_latency_ms=1000)
        card = (bundle.folder / "model_card.md").read_text()
        assert ("was saved with scikit-learn" in card) == is_stated
        assert (f"scikit-learn {version}; it was exported" in card) == is_stated

"""Models of other estimators than ours are measured and released: forests, whose probabilities miss the sum 1."""

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.pipeline import make_pipeline

from kfp_edge.components.export.export import export_model
from kfp_edge.ml.skops_model import save_model
from support.models import verify_model
from support.tables import failures


@pytest.mark.parametrize("trees", [20, 50, 500])
@pytest.mark.parametrize("estimator", [RandomForestClassifier, ExtraTreesClassifier])
def test_a_forest_of_two_classes_is_measured_and_released(tmp_path, estimator, trees):
    data, test_data = failures(1000, categorical=False), failures(500, seed=1, categorical=False)
    fitted = make_pipeline(estimator(trees, random_state=0, max_depth=6, class_weight="balanced")).fit(
        data.x(), data.y()
    )
    save_model(fitted, tmp_path / "model.skops")
    export_model(tmp_path / "model.skops", data, tmp_path / "model.onnx")
    bundle = verify_model(tmp_path, data, test_data, max_latency_ms=1000)
    truth, probability = test_data.y(), fitted.predict_proba(test_data.x())[:, 1]
    assert bundle.manifest.metrics["brier_score"] == pytest.approx(np.mean((probability - truth) ** 2), abs=1e-5)

"""Linear models without a scaler before them: columns far from 0 lose no digits in ONNX."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, is_regressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression, LogisticRegression, QuantileRegressor, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline

from kfp_edge.components.export.export import convert
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.known_differences import explain_estimator
from kfp_edge.ml.onnx_model import OnnxModel, read_signature
from support.brought_tables import make_data, make_regression_data


def move_far_from_zero(data: Dataset) -> Dataset:
    """Return the data with a column as that of an air pressure in Pa."""
    data.frame["pressure"] = (101_325 + 50 * data.frame["pressure"]).astype(np.float32)
    return data


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(max_iter=500),
        CalibratedClassifierCV(LogisticRegression(max_iter=500), cv=2),
        GaussianNB(),
        make_pipeline(PCA(2, whiten=True), LogisticRegression()),
        LinearRegression(),
        Ridge(),
        QuantileRegressor(alpha=0),
    ],
    ids=lambda estimator: str(estimator).partition("(")[0],
)
@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
def test_a_linear_model_without_a_scaler_is_exported_exactly(estimator: BaseEstimator) -> None:
    regression = is_regressor(estimator)
    data = move_far_from_zero(make_regression_data() if regression else make_data((0, 1, 2)))
    rows = data.x()
    labels = data.frame["state"]
    doubles = rows.astype(np.float64)
    estimator.fit(doubles, labels)
    proto = convert(estimator, data)
    signature = read_signature(proto)
    assert signature is not None
    exported = OnnxModel(proto, signature)
    answers = exported.run(exported.to_input_feed(rows))
    if regression:
        expected = estimator.predict(doubles)
        np.testing.assert_allclose(
            answers["prediction"], expected, atol=1e-6 * labels.std() + 1e-6 * abs(expected).max()
        )
    else:
        np.testing.assert_allclose(answers["probabilities"], estimator.predict_proba(doubles), atol=1e-6)
        assert answers["label"].tolist() == estimator.predict(doubles).tolist()


def test_one_against_the_rest_of_an_earlier_scikit_learn_is_refused() -> None:
    data = make_data((0, 1, 2))
    model = LogisticRegression(max_iter=500).fit(data.x(), data.y())
    assert not explain_estimator(model)
    model.multi_class = "ovr"  # as a file of scikit-learn 1.7 sets it
    assert "OneVsRestClassifier" in explain_estimator(model)
    model.multi_class, model.solver = "auto", "liblinear"
    assert "since 1.8 computes it otherwise" in explain_estimator(model)

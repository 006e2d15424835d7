"""A text column whose missing values a model learned as its own category is answered as scikit-learn answers it."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from kfp_edge.components.export.export import export_model
from kfp_edge.ml.dataset import Dataset, Roles
from kfp_edge.ml.onnx_model import OnnxModel
from kfp_edge.ml.skops_model import save_model
from kfp_edge.tasks.registry import predict, predict_onnx
from support.models import verify_model
from support.tables import SHA

NAN = float("nan")
MARKERS: dict[str, Any] = {"None": None, "NaN": NAN, "empty": ""}


def _modes(seed: int) -> Dataset:
    """Return rows that failed exactly where the mode is missing, or is `y` and the heat is high."""
    rng = np.random.default_rng(seed)
    heat = rng.normal(300, 2, 1000).astype(np.float32)
    mode = rng.choice(np.array(["x", "y", None], dtype=object), 1000)
    failed = pd.isna(mode) | ((mode == "y") & (heat > 301))
    frame = pd.DataFrame({"heat": heat, "mode": pd.Series(mode, dtype=object), "failed": failed.astype(int)})
    return Dataset(frame, Roles("classification", "failed", ("heat",), ("mode",)), SHA)


def _pipeline(encoder: BaseEstimator) -> BaseEstimator:
    columns = ColumnTransformer([("mode", encoder, ["mode"])], remainder="passthrough")
    return make_pipeline(columns, HistGradientBoostingClassifier(max_iter=20, random_state=0))


def _rows_where_trained(data: Dataset, marker: Any) -> pd.DataFrame:
    """Return the rows as another program had them, with its own sign for a missing mode."""
    rows = data.x()
    mode = rows["mode"].to_numpy(copy=True)
    mode[mode == ""] = marker
    return rows.assign(mode=pd.Series(mode, dtype=object))


ENCODERS: dict[str, BaseEstimator] = {
    "one hot": OneHotEncoder(handle_unknown="ignore", sparse_output=False),
    "one hot, strict": OneHotEncoder(sparse_output=False),
    "ordinal": OrdinalEncoder(),
    "ordinal, unknown is -1": OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
    "ordinal, missing is -1": OrdinalEncoder(encoded_missing_value=-1),
}


@pytest.mark.parametrize("marker", MARKERS)
@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_missing_category_is_answered_as_where_the_model_was_trained(
    tmp_path: Path, encoder: str, marker: str
) -> None:
    train, test = _modes(0), _modes(1)
    model = _pipeline(ENCODERS[encoder]).fit(_rows_where_trained(train, MARKERS[marker]), train.y())
    _assert_answers_as_trained(tmp_path, model, train, test, MARKERS[marker])


def test_a_missing_category_that_an_imputer_fills_is_answered_as_where_the_model_was_trained(tmp_path: Path) -> None:
    train, test = _modes(0), _modes(1)
    imputer = SimpleImputer(missing_values=None, strategy="constant", fill_value="none")
    model = _pipeline(make_pipeline(imputer, OneHotEncoder(sparse_output=False)))
    model.fit(_rows_where_trained(train, None), train.y())
    _assert_answers_as_trained(tmp_path, model, train, test, None)


def _assert_answers_as_trained(folder: Path, model: BaseEstimator, train: Dataset, test: Dataset, marker: Any) -> None:
    expected = model.predict(_rows_where_trained(test, marker))
    assert (expected == test.y()).mean() > 0.99
    save_model(model, folder / "model.skops")
    export_model(folder / "model.skops", train, folder / "model.onnx")
    exported = predict_onnx(OnnxModel.load(folder / "model.onnx"), test.x())
    assert exported.label.tolist() == expected.tolist()
    assert predict(model, test).label.tolist() == expected.tolist()
    assert verify_model(folder, train, test).manifest.metrics["accuracy"] > 0.99


def test_a_table_without_missing_categories_needs_no_sign_for_them(tmp_path: Path) -> None:
    parts = [dataclasses.replace(data, frame=data.frame.dropna(ignore_index=True)) for data in (_modes(0), _modes(1))]
    model = _pipeline(OrdinalEncoder()).fit(parts[0].x(), parts[0].y())
    _assert_answers_as_trained(tmp_path, model, *parts, "")

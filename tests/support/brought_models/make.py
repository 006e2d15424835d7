"""Make the models in this folder, with the libraries that users bring models of, and record what those answer.

They are no dependency of the tests: the files are in the repository. To make them again, in an environment with
xgboost 3.2.0, lightgbm 4.7.0, catboost 1.2.10, onnxmltools 1.16.0 and scikit-learn 1.9.1:

    PYTHONPATH=tests python -m support.brought_models.make
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from catboost import CatBoostClassifier, CatBoostRegressor
from lightgbm import LGBMClassifier, LGBMRegressor
from onnxmltools.convert import convert_lightgbm, convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType
from xgboost import XGBClassifier, XGBRegressor

from support.brought_models.rows import make_features, make_labels, make_numbers

FOLDER = Path(__file__).parent
_INPUT = [("input", FloatTensorType([None, 3]))]
_TREES = {"n_estimators": 5, "max_depth": 2, "random_state": 0}
_ANSWERED_ROWS = 30


def _fit(model: Any, target: Any, *, missing: bool = False) -> tuple[Any, dict[str, Any]]:
    """Fit a model, and return it with its answers for the first rows."""
    features = make_features(missing=missing)
    model.fit(features, target)
    rows = features[:_ANSWERED_ROWS]
    predicted = model.predict(rows).reshape(-1).tolist()
    if not hasattr(model, "predict_proba"):
        return model, {"prediction": predicted}
    return model, {"label": predicted, "probabilities": np.asarray(model.predict_proba(rows), np.float64).tolist()}


def _make_xgboost(name: str, model: Any, target: Any, **options: Any) -> dict[str, Any]:
    model, answers = _fit(model, target, **options)
    proto = convert_xgboost(model, initial_types=_INPUT, target_opset=15)
    (FOLDER / f"{name}.onnx").write_bytes(proto.SerializeToString())
    return answers


def _make_lightgbm(name: str, model: Any, target: Any, *, zipmap: bool = True) -> dict[str, Any]:
    model, answers = _fit(model, target)
    proto = convert_lightgbm(model, initial_types=_INPUT, target_opset=15, zipmap=zipmap)
    (FOLDER / f"{name}.onnx").write_bytes(proto.SerializeToString())
    return answers


def _make_catboost(name: str, model: Any, target: Any, **options: Any) -> dict[str, Any]:
    model, answers = _fit(model, target, **options)
    model.save_model(str(FOLDER / f"{name}.onnx"), format="onnx")
    return answers


def main() -> None:
    """Write the models and `answers.json`."""
    two, three, texts = (
        make_labels((0, 1)).astype(int),
        make_labels((0, 1, 2)).astype(int),
        make_labels(("bad", "good")),
    )
    cat = {"iterations": 5, "depth": 2, "random_seed": 0, "verbose": False, "allow_writing_files": False}
    leaves = {**_TREES, "verbose": -1}
    answers = {
        "xgboost_two": _make_xgboost("xgboost_two", XGBClassifier(**_TREES), two),
        "xgboost_three": _make_xgboost("xgboost_three", XGBClassifier(**_TREES), three),
        "xgboost_missing": _make_xgboost("xgboost_missing", XGBClassifier(**_TREES), two, missing=True),
        "xgboost_number": _make_xgboost("xgboost_number", XGBRegressor(**_TREES), make_numbers()),
        "lightgbm_two": _make_lightgbm("lightgbm_two", LGBMClassifier(**leaves), two, zipmap=False),
        "lightgbm_three": _make_lightgbm("lightgbm_three", LGBMClassifier(**leaves), three),
        "lightgbm_text": _make_lightgbm("lightgbm_text", LGBMClassifier(**leaves), texts),
        "lightgbm_number": _make_lightgbm("lightgbm_number", LGBMRegressor(**leaves), make_numbers()),
        "catboost_two": _make_catboost("catboost_two", CatBoostClassifier(**cat), two),
        "catboost_one_two": _make_catboost("catboost_one_two", CatBoostClassifier(**cat), two + 1),
        "catboost_text": _make_catboost("catboost_text", CatBoostClassifier(**cat), texts),
        "catboost_three": _make_catboost("catboost_three", CatBoostClassifier(**cat), three),
        "catboost_number": _make_catboost("catboost_number", CatBoostRegressor(**cat), make_numbers()),
    }
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(values)}" for name, values in answers.items())
    (FOLDER / "answers.json").write_text(f"{{\n{lines}\n}}\n")


if __name__ == "__main__":
    main()

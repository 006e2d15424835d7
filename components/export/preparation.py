"""A copy of a fitted estimator that predicts the same, in terms that skl2onnx and ONNX have."""

import copy

from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier, VotingClassifier
from sklearn.pipeline import Pipeline

from kfp_edge.components.export.boosting_thresholds import move_scaling_into_thresholds
from kfp_edge.components.export.float32_thresholds import round_thresholds
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.estimators import iterate_parts, list_fitted_estimators
from kfp_edge.ml.missing_text import know_missing_text_as_empty


def prepare_for_conversion(estimator: BaseEstimator, data: Dataset) -> BaseEstimator:
    """Return a copy of a fitted estimator that predicts the same, in terms that ONNX has."""
    prepared = copy.deepcopy(estimator)
    know_missing_text_as_empty(prepared, data.roles.features)
    for part in iterate_parts(prepared):
        if isinstance(part, ColumnTransformer):
            _select_columns_by_position(part)
        elif isinstance(part, VotingClassifier):
            part.flatten_transform = False  # skl2onnx asks for it; it changes `transform`, which nobody calls
        elif isinstance(part, CalibratedClassifierCV):
            _name_forests(part)
    for pipeline in [part for part in iterate_parts(prepared) if isinstance(part, Pipeline)]:
        move_scaling_into_thresholds(pipeline)
    round_thresholds(prepared)
    return prepared


def _name_forests(calibrated: CalibratedClassifierCV) -> None:
    """Let calibrated extra trees be a random forest, which predicts in the same way once it is fitted.

    skl2onnx 1.20 calibrates the decision value of every estimator but a random forest, and such trees have none.
    """
    for inner in list_fitted_estimators(calibrated):
        if isinstance(inner, ExtraTreesClassifier):
            inner.__class__ = RandomForestClassifier


def _select_columns_by_position(transformer: ColumnTransformer) -> None:
    """Make a fitted ColumnTransformer select columns by number.

    A single tensor has no column names, and skl2onnx knows neither slices nor masks.
    """
    positions = vars(transformer).get("_transformer_to_input_indices")
    if positions is not None:
        transformer.transformers_ = [
            (name, step, [int(position) for position in positions[name]]) for name, step, _ in transformer.transformers_
        ]

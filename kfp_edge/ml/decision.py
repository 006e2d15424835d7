"""The decision of a classifier of two classes: above which probability of the positive class it is the label.

scikit-learn's `FixedThresholdClassifier` has it, as the last step of a Pipeline, so that a model decides the same
wherever it is loaded. It compares in double precision and with >=; a threshold here is a number in single precision,
and a label is positive where the probability, in single precision, is above it, as at the edge.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.pipeline import Pipeline

from kfp_edge.errors import ModelError
from kfp_edge.ml.arrays import ClassLabel, Floats, Mask
from kfp_edge.ml.bundle import ThresholdChoice

#: The attribute in which a `FixedThresholdClassifier` keeps how its threshold was chosen.
_CHOICE = "threshold_choice_"


@dataclass(frozen=True)
class Decision:
    """A label is `positive` where the probability of that class is above `threshold`, a number in single precision."""

    threshold: float
    positive: ClassLabel
    choice: ThresholdChoice | None = None

    def is_positive(self, probability: Floats) -> Mask:
        """Return whether the label of each row is the positive class, given the probability of it."""
        return np.asarray(probability.astype(np.float32) > np.float32(self.threshold))


def set_decision(pipeline: Pipeline, decision: Decision) -> Pipeline:
    """Return a fitted Pipeline that decides by a threshold."""
    name, model = pipeline.steps[-1]
    deciding = FixedThresholdClassifier(
        model,
        threshold=_find_lowest_positive(decision.threshold),
        pos_label=decision.positive,
        response_method="predict_proba",
    )
    deciding.estimator_ = model  # as `fit` does, which would fit it again
    if hasattr(model, "feature_names_in_"):
        deciding.feature_names_in_ = model.feature_names_in_
    if decision.choice is not None:
        setattr(deciding, _CHOICE, decision.choice.model_dump())
    return Pipeline([*pipeline.steps[:-1], (name, deciding)])


def read_decision(estimator: BaseEstimator) -> Decision | None:
    """Return the decision of a fitted estimator, alone or at the end of a Pipeline; None where it has no threshold.

    Raises:
        ModelError: its threshold is one of something else than a probability.
    """
    final = _last_step(estimator)
    if isinstance(final, TunedThresholdClassifierCV):
        _check_response(final, final.estimator_)
        named = final._curve_scorer._get_pos_label()
        return Decision(_round_below(final.best_threshold_), _positive_of(final) if named is None else named)
    if not isinstance(final, FixedThresholdClassifier):
        return None
    model = _model_of(final)
    _check_response(final, model)
    threshold = 0.5 if final.threshold == "auto" else float(final.threshold)
    positive = _positive_of(final) if final.pos_label is None else final.pos_label
    choice = getattr(final, _CHOICE, None)
    return Decision(_round_below(threshold), positive, None if choice is None else ThresholdChoice(**choice))


def without_decision(estimator: BaseEstimator) -> BaseEstimator:
    """Return a fitted estimator, alone or a Pipeline, without its threshold: it predicts the most probable class."""
    final = _last_step(estimator)
    if not isinstance(final, FixedThresholdClassifier | TunedThresholdClassifierCV):
        return estimator
    model = _model_of(final)
    if not isinstance(estimator, Pipeline):
        return without_decision(model)
    return Pipeline([*estimator.steps[:-1], (estimator.steps[-1][0], model)])


def _last_step(estimator: BaseEstimator) -> BaseEstimator:
    return estimator[-1] if isinstance(estimator, Pipeline) else estimator


def _model_of(final: BaseEstimator) -> BaseEstimator:
    return getattr(final, "estimator_", final.estimator)


def _positive_of(final: BaseEstimator) -> ClassLabel:
    positive: ClassLabel = np.asarray(final.classes_).tolist()[-1]
    return positive


def _check_response(final: BaseEstimator, model: BaseEstimator) -> None:
    if final.response_method == "decision_function" or not hasattr(model, "predict_proba"):
        raise ModelError(
            f"the threshold of this {type(final).__name__} is one of decision_function, which the exported model does "
            "not give; choose it with response_method='predict_proba'."
        )


def _find_lowest_positive(threshold: float) -> float:
    """Return the smallest double that single precision rounds to a number above the threshold."""
    below = np.float32(threshold)
    above = np.nextafter(below, np.float32(np.inf))
    middle = (float(below) + float(above)) / 2
    return middle if np.float32(middle) > below else float(np.nextafter(middle, np.inf))


def _round_below(lowest: float) -> float:
    """Return the largest number in single precision below the lowest double that counts as positive."""
    rounded = np.float32(lowest)
    return float(rounded if float(rounded) < lowest else np.nextafter(rounded, np.float32(-np.inf)))

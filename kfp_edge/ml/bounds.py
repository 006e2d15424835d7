"""A regressor whose predictions stay within the bounds of its target, such as a remaining life of at least 0."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.pipeline import Pipeline
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from kfp_edge.ml.arrays import Float64s


@dataclass(frozen=True)
class Bounds:
    """The lowest and the highest number that a target can have by its definition, None where there is none."""

    low: float | None = None
    high: float | None = None

    def round_inwards(self) -> "Bounds":
        """Return the bounds in single precision, as ONNX has them, not beyond these."""
        return Bounds(
            None if self.low is None else -_round_down(-self.low), None if self.high is None else _round_down(self.high)
        )


def _round_down(value: float) -> float:
    rounded = np.float32(value)
    return float(rounded if float(rounded) <= value else np.nextafter(rounded, np.float32(-np.inf)))


def _has_quantiles(bounded: "BoundedRegressor") -> bool:
    return hasattr(bounded.regressor, "predict_quantiles")


class BoundedRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Predicts as another regressor does, but never below one number or above another.

    Args:
        regressor: The other regressor.
        low: The lowest prediction, a number in single precision; None for no bound.
        high: The highest prediction, a number in single precision; None for no bound.

    Attributes:
        regressor_: The fitted regressor.
    """

    def __init__(
        self, regressor: BaseEstimator | None = None, low: float | None = None, high: float | None = None
    ) -> None:
        self.regressor = regressor
        self.low = low
        self.high = high

    def fit(self, x: Float64s, y: Float64s) -> Self:
        """Fit the regressor on rows of shape [rows, columns] and their numbers, shape [rows]."""
        self.regressor_ = clone(self.regressor).fit(x, y)
        return self

    @property
    def levels(self) -> tuple[float, ...]:
        """The levels of the quantiles, of a regressor that predicts any."""
        return tuple(self.regressor.levels) if self.regressor is not None else ()

    def predict(self, x: Float64s) -> Float64s:
        """Return the predicted number of each row, shape [rows]."""
        check_is_fitted(self)
        return self._clip(self.regressor_.predict(x))

    @available_if(_has_quantiles)  # type: ignore[untyped-decorator]
    def predict_quantiles(self, x: Float64s) -> Float64s:
        """Return the quantiles of each row, ascending, shape [rows, levels]."""
        check_is_fitted(self)
        return self._clip(self.regressor_.predict_quantiles(x))

    def _clip(self, values: Float64s) -> Float64s:
        return np.asarray(np.clip(np.asarray(values, dtype=np.float64), self.low, self.high))


def set_bounds(pipeline: Pipeline, bounds: Bounds) -> Pipeline:
    """Return a fitted Pipeline of a regressor whose predictions stay within bounds; as it is where there are none."""
    if bounds == Bounds():
        return pipeline
    name, model = pipeline.steps[-1]
    rounded = bounds.round_inwards()
    bounded = BoundedRegressor(model, rounded.low, rounded.high)
    bounded.regressor_ = model  # as `fit` does, which would fit it again
    if hasattr(model, "feature_names_in_"):
        bounded.feature_names_in_ = model.feature_names_in_
    return Pipeline([*pipeline.steps[:-1], (name, bounded)])


def read_bounds(estimator: BaseEstimator) -> Bounds:
    """Return the bounds of the predictions of a fitted estimator, alone or at the end of a Pipeline."""
    final = estimator[-1] if isinstance(estimator, Pipeline) else estimator
    return Bounds(final.low, final.high) if isinstance(final, BoundedRegressor) else Bounds()


def without_bounds(estimator: BaseEstimator) -> BaseEstimator:
    """Return a fitted estimator, alone or a Pipeline, whose predictions are not kept within bounds."""
    final = estimator[-1] if isinstance(estimator, Pipeline) else estimator
    if not isinstance(final, BoundedRegressor):
        return estimator
    if not isinstance(estimator, Pipeline):
        return final.regressor_
    return Pipeline([*estimator.steps[:-1], (estimator.steps[-1][0], final.regressor_)])

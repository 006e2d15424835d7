"""Predictions of a regression."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from kfp_edge.errors import ModelError
from kfp_edge.ml.arrays import Float64s, Floats, Int64s, Labels, Mask
from kfp_edge.tasks.predictions import Answers, Predictions

#: Kinds of answers by their size, of which recorded samples have some rows of each.
_STRATA = 10


@dataclass(frozen=True)
class NumberPredictions(Predictions):
    """The predicted number of n rows, shape [n], and quantiles of it, shape [n, levels], which may be none."""

    value: Floats
    quantiles: Floats
    #: The share of the true values that should lie below each quantile, ascending.
    levels: tuple[float, ...] = ()
    #: Standard deviation of the target in training, where it is known.
    deviation: float | None = None
    label: None = field(default=None, init=False)
    classes = ()

    @property
    def numbers(self) -> Floats:
        """The predicted numbers and the quantiles, shape [n, 1 + levels]."""
        return np.column_stack([self.value, self.quantiles])

    @property
    def answers(self) -> Mapping[str, Answers]:
        """The predicted number; not its quantiles, which move with it."""
        return {"prediction": Answers("prediction", self.value)}

    @property
    def margin(self) -> Floats:
        """Infinite, shape [n]: a number is no decision."""
        return np.full(len(self.value), np.inf)

    @property
    def strata(self) -> Labels:
        """The tenth of the predicted numbers that each is in, shape [n]."""
        order: Int64s = np.argsort(np.argsort(self.value, kind="stable"), kind="stable")
        return np.asarray(order * min(_STRATA, len(order)) // max(len(order), 1), dtype=np.int64)

    def measure_difference(self, other: Predictions) -> Floats:
        """Return the largest difference of each row's numbers, shape [n], in standard deviations of the target.

        Twice the distance of neighbouring float32 numbers is subtracted first: the export adds numbers in float32, and
        far from 0 they have no more digits.
        """
        assert isinstance(other, NumberPredictions)
        mine, others = self.numbers.astype(np.float64), other.numbers.astype(np.float64)
        if mine.shape != others.shape:
            raise ModelError(
                f"the models give {mine.shape[1] - 1} and {others.shape[1] - 1} quantiles; export the model again."
            )
        with np.errstate(over="ignore"):
            spacing = np.spacing(np.abs(mine).astype(np.float32)).astype(np.float64)
        difference: Float64s = np.maximum(np.abs(mine - others) - 2 * spacing, 0).max(axis=1)
        return difference / (self.deviation or other.deviation or 1.0)

    def check_finite(self) -> None:
        """Refuse predictions that are no numbers.

        Raises:
            ModelError: a number is missing or infinite.
        """
        wrong: Mask = np.asarray(~np.isfinite(self.numbers).all(axis=1))
        if wrong.any():
            raise ModelError(
                f"the model predicts no number (NaN or infinite) for {int(wrong.sum()):,} of {len(wrong):,} rows; "
                "train or export the model again."
            )

    def describe_row(self, row: int) -> str:
        """Return the number of one row with its quantiles, such as `41.7 (31.2 to 55)`."""
        quantiles = " to ".join(f"{value:.6g}" for value in self.quantiles[row])
        return f"{float(self.value[row]):.9g}" + (f" ({quantiles})" if quantiles else "")

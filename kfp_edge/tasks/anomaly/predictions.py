"""Predictions of an anomaly detector."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kfp_edge.errors import ModelError
from kfp_edge.ml.arrays import Floats, Labels
from kfp_edge.tasks.predictions import Answers, Predictions


@dataclass(frozen=True)
class AnomalyPredictions(Predictions):
    """The score of n rows, shape [n], higher being more anomalous, and the labels, shape [n]: 1 above `threshold`."""

    label: Labels
    score: Floats
    threshold: float = 0.0
    classes = ()

    @property
    def numbers(self) -> Floats:
        """The scores, shape [n, 1]."""
        return self.score.reshape(-1, 1)

    @property
    def answers(self) -> Mapping[str, Answers]:
        """The score."""
        return {"score": Answers("score", self.score.reshape(-1))}

    @property
    def margin(self) -> Floats:
        """The distance of the score from the threshold, shape [n], relative to a score above 1."""
        distance: Floats = np.abs(self.score - self.threshold) / self._scale
        return distance

    @property
    def _scale(self) -> Floats:
        """What differences are relative to, shape [n]: a score that has no bound has as many digits as one within 1."""
        return np.maximum(1.0, np.abs(self.score))

    def measure_difference(self, other: Predictions) -> Floats:
        """Return the difference of each row's scores, shape [n], relative to the score where that is above 1."""
        difference: Floats = super().measure_difference(other) / self._scale
        return difference

    @property
    def ranking_score(self) -> Floats:
        """The score, by which rows are ranked, shape [n].

        It is in single precision: rows that differ only in the rounding of double precision are equal at the edge.

        Raises:
            ModelError: a score is missing.
        """
        missing = int(np.isnan(self.score).sum())
        if missing:
            raise ModelError(
                f"the model's score is missing (NaN) in {missing:,} of {len(self.score):,} rows; "
                "train or export the model again."
            )
        return self.score.astype(np.float32)

    def describe_row(self, row: int) -> str:
        """Return the label of one row with its score, such as `1 (0.58)`."""
        return f"{self.label.reshape(-1)[row]} ({float(self.score[row]):.6g})"

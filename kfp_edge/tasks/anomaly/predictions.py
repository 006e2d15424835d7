"""Predictions of an anomaly detector."""

from dataclasses import dataclass

import numpy as np

from kfp_edge.errors import ModelError
from kfp_edge.ml.arrays import Floats, Labels
from kfp_edge.tasks.predictions import Predictions


@dataclass(frozen=True)
class AnomalyPredictions(Predictions):
    """The score of n rows, shape [n], higher being more anomalous, and the labels, shape [n]: 1 above `threshold`."""

    label: Labels
    score: Floats
    threshold: float = 0.0

    @property
    def numbers(self) -> Floats:
        """The scores, shape [n, 1]."""
        return self.score.reshape(-1, 1)

    @property
    def margin(self) -> Floats:
        """The distance of the score from the threshold, shape [n]."""
        distance: Floats = np.abs(self.score - self.threshold)
        return distance

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

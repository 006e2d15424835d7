"""Parity: the original scikit-learn model and its ONNX export give the same answers on the same rows."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from kfp_edge.errors import ModelError
from kfp_edge.ml.arrays import Floats, Mask
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.estimators import SCALERS, iterate_parts
from kfp_edge.ml.onnx_model import OnnxModel
from kfp_edge.reports.check import Check
from kfp_edge.tasks.predictions import Predictions
from kfp_edge.tasks.registry import predict, predict_onnx

#: Why a model may differ, although both are given the values of float32.
_DIGITS = "ONNX computes with about seven digits, scikit-learn with sixteen"
#: Columns that are searched for the one that explains a difference.
_MAX_SEARCHED_COLUMNS = 500


@dataclass(frozen=True)
class Parity:
    """scikit-learn against onnxruntime on the same n rows: both arrays have shape [n].

    `difference` is the largest absolute difference of a row's probabilities, or that of its scores; of predicted
    numbers, in standard deviations of the target. `labels_differ` is False where no label is right: where the
    original's two best classes are as close to each other, or its score to the threshold, as numbers may differ.
    """

    labels_differ: Mask
    difference: Floats
    #: Whether the models decide, and do not only give numbers.
    has_labels: bool = True

    def worst(self, count: int) -> list[int]:
        """Return `count` row numbers: differing labels first, then the largest differences."""
        order = np.lexsort((-self.difference, ~self.labels_differ))
        return [int(row) for row in order[:count]]

    def is_within(self, tolerance: float) -> Mask:
        """Return the rows on which both models agree; shape [n]."""
        return ~self.labels_differ & (self.difference <= tolerance)


@dataclass(frozen=True)
class ModelPair:
    """A scikit-learn model and its ONNX export, which are run on the same rows."""

    original: BaseEstimator
    exported: OnnxModel

    def predict(self, data: Dataset) -> tuple[Predictions, Predictions]:
        """Return the predictions of the original and of the export.

        Raises:
            ModelError: the original cannot predict these rows.
            DataError: a value does not fit an input of the ONNX model.
        """
        try:
            original = predict(self.original, data)
        except (ValueError, TypeError, AttributeError) as error:
            incomplete = [name for name in data.roles.features if data.frame[name].isna().any()]
            hint = f"; columns with missing values: {', '.join(incomplete[:5])}" if incomplete else ""
            raise ModelError(
                f"the scikit-learn model cannot predict the held-out rows: {str(error).strip().splitlines()[0]}{hint}; "
                "fit a Pipeline that prepares them, such as with a SimpleImputer."
            ) from error
        return original, predict_onnx(self.exported, data.x())


def measure_parity(reference: Predictions, candidate: Predictions, tolerance: float = 0.0) -> Parity:
    """Compare the predictions of two models for the same n rows; numbers may differ by `tolerance`."""
    difference = reference.measure_difference(candidate)
    if reference.label is None or candidate.label is None:
        return Parity(np.zeros(len(difference), dtype=bool), difference, has_labels=False)
    differ = np.asarray(reference.label != candidate.label).reshape(-1) & (reference.margin > tolerance)
    return Parity(differ, difference)


def check_parity(pair: ModelPair, data: Dataset, parity: Parity, tolerance: float) -> list[Check]:
    """Require equal labels, and numbers within an absolute `tolerance`; a failed check describes the worst row.

    Args:
        pair: The two models.
        data: The n rows that they were compared on; its index has the numbers of the rows.
        parity: The comparison.
        tolerance: The limit.
    """
    wrong_labels, worst = int(parity.labels_differ.sum()), float(parity.difference.max())
    explanation = "" if parity.is_within(tolerance).all() else _explain(pair, data, parity, tolerance)
    labels = f"{wrong_labels} of {len(parity.difference):,} rows differ"
    # one explanation is enough for both checks
    remedies = (explanation, "") if wrong_labels else ("", explanation)
    limit = f"at most {tolerance:g}"
    of_numbers = Check("parity of numbers", worst <= tolerance, f"largest difference {worst:.2g}", limit, remedies[1])
    if not parity.has_labels:
        return [of_numbers]
    return [
        Check("parity of labels", wrong_labels == 0, labels, "0 rows differ", remedies[0]),
        of_numbers,
    ]


def _explain(pair: ModelPair, data: Dataset, parity: Parity, tolerance: float) -> str:
    """Describe the worst row: its number, the column and value that decide, both answers, and what to do."""
    row = parity.worst(1)[0]
    where = f"on held-out row {data.frame.index[row]}"
    original, exported = pair.predict(replace(data, frame=data.frame.iloc[[row]].reset_index(drop=True)))
    answers = f"scikit-learn gives {original.describe_row(0)}, ONNX {exported.describe_row(0)}"
    column = _find_deciding_column(pair, data, row, tolerance)
    if column is None:
        remedies = (*_scale(pair.original, "the columns"), "train another estimator")
        return f"{where} {answers}, which no single column explains; {_DIGITS}: {', or '.join(remedies)}"
    value = data.frame[column].iloc[row]
    if pd.isna(value):
        remedy = f"fill the missing values of {column!r} in the Pipeline, such as with a SimpleImputer"
    elif column in data.roles.categorical:
        remedy = f"encode {column!r} in another way, such as with a OneHotEncoder"
    else:
        remedy = f"{_DIGITS}: {', or '.join((*_scale(pair.original, repr(column)), 'give it fewer digits'))}"
    text = repr(value) if isinstance(value, str) else f"{value:.9g}"
    return f"{where}, where {column!r} is {'missing' if pd.isna(value) else text}, {answers}; {remedy}"


def _scale(model: BaseEstimator, columns: str) -> tuple[str, ...]:
    """Return the advice to scale columns, unless the model does."""
    if any(isinstance(part, SCALERS) for part in iterate_parts(model)):
        return ()
    return (f"scale {columns} in the Pipeline, such as with a StandardScaler",)


def _find_deciding_column(pair: ModelPair, data: Dataset, row: int, tolerance: float) -> str | None:
    """Return the first column with whose usual value in place of the row's own the models agree, None if none does."""
    columns = list(data.roles.features[:_MAX_SEARCHED_COLUMNS])
    repeated = data.frame.iloc[[row] * len(columns)].reset_index(drop=True)
    for index, name in enumerate(columns):
        known = data.frame[name].dropna()
        if len(known):
            usual = known.mode()[0] if name in data.roles.categorical else known.median()
            repeated.loc[index, name] = usual
    agrees = measure_parity(*pair.predict(replace(data, frame=repeated)), tolerance).is_within(tolerance)
    return columns[int(np.argmax(agrees))] if agrees.any() else None

"""Missing text: a scikit-learn model may know it as None, as NaN or as "", but ONNX has the empty string only."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

#: What stands for a missing text where a model was trained.
Marker = str | float | None


def mark_missing_text(estimator: BaseEstimator, rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows in which a missing text, which is "" there, is what the fitted estimator knows it as."""
    markers = {
        column: marker
        for step, position, column in _find_first_steps(estimator, list(rows.columns))
        if (marker := _find_marker(step, position)) != ""
    }
    marked = rows.copy(deep=False)
    for column, marker in markers.items():
        if rows[column].dtype == object:
            values = rows[column].to_numpy(copy=True)
            values[values == ""] = marker
            marked[column] = pd.Series(values, index=rows.index, dtype=object)
    return marked


def know_missing_text_as_empty(estimator: BaseEstimator, columns: Sequence[str]) -> None:
    """Change a fitted estimator, for its conversion only, so that it knows a missing text as "".

    Args:
        estimator: The estimator; it is changed.
        columns: The features in the order that it was fitted with.
    """
    for step, position, _ in _find_first_steps(estimator, columns):
        marker = _find_marker(step, position)
        if marker == "":
            continue
        if isinstance(step, SimpleImputer):
            if step.statistics_.dtype == object:
                step.missing_values = ""
        elif isinstance(step, OrdinalEncoder) and marker is not None:  # to it, None is a category like any other
            _encode_missing_as_unknown(step, position)
        else:
            categories = step.categories_[position]
            step.categories_[position] = np.array(["" if _is_missing(value) else value for value in categories], object)


def _encode_missing_as_unknown(encoder: OrdinalEncoder, position: int) -> None:
    """Let an encoder give the code of a missing value to whatever it does not know, which then includes "".

    The server refuses unknown categories, so nothing else gets this code.
    """
    categories = encoder.categories_[position]
    encoder.categories_[position] = np.array([value for value in categories if not _is_missing(value)], object)
    encoder.handle_unknown, encoder.unknown_value = "use_encoded_value", encoder.encoded_missing_value


def _find_first_steps(estimator: BaseEstimator, columns: Sequence[str]) -> Iterator[tuple[BaseEstimator, int, str]]:
    """Yield the first step that sees each column, the column's position among those of the step, and its name."""
    while isinstance(estimator, Pipeline):
        estimator = estimator[0]
    if isinstance(estimator, ColumnTransformer):
        indices = estimator._transformer_to_input_indices
        for name, step, _ in estimator.transformers_:
            yield from _find_first_steps(step, [columns[index] for index in indices[name]])
    elif hasattr(estimator, "categories_") or isinstance(estimator, SimpleImputer):
        for position, column in enumerate(columns):
            yield estimator, position, column


def _find_marker(step: BaseEstimator, position: int) -> Marker:
    """Return what a fitted encoder or imputer takes as a missing value of a column; "" also if it knows none."""
    if isinstance(step, SimpleImputer):
        return step.missing_values if _is_missing(step.missing_values) else ""
    categories = step.categories_[position]
    missing = [value for value in categories if _is_missing(value)] if categories.dtype == object else []
    return missing[0] if missing else ""


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value))

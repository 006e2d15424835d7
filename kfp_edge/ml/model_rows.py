"""The rows of a dataset as a fitted scikit-learn model is given them, in a notebook and here."""

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.missing_text import mark_missing_text


def to_model_rows(estimator: BaseEstimator, data: Dataset) -> pd.DataFrame:
    """Return the features, shape [rows, features], for the prediction of a fitted estimator.

    Numbers are the float32 values that the edge has, in double precision, as pandas gives them to a notebook: given
    float32, scikit-learn rounds its own parameters too, such as the means of a scaler. A missing text is what it was
    where the estimator was trained.
    """
    rows = mark_missing_text(estimator, data.x())
    return rows.astype(dict.fromkeys(data.roles.numeric, np.float64))

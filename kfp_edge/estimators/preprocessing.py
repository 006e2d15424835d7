"""The first step of a Pipeline: categories as indicator columns, numbers as they are, imputed or scaled."""

from typing import Literal

import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from kfp_edge.ml.dataset import Roles

#: What an estimator needs: numbers as they are, missing ones among them; those filled; or filled, centred and scaled.
Numbers = Literal["raw", "imputed", "scaled"]

#: Values of a text column that get an indicator column each; the rarer ones look alike to the model.
_MAX_ENCODED_CATEGORIES = 100


def make_preprocessing(roles: Roles, rows: pd.DataFrame, numbers: Numbers) -> BaseEstimator | str:
    """Return the step for the features of `roles`, or "passthrough".

    Args:
        roles: The roles of the columns.
        rows: The features of the rows that the model will be fitted on, shape [rows, features].
        numbers: What happens to numbers.
    """
    numeric = _make_numeric_step(numbers)
    if not roles.categorical:
        return numeric
    categories = [_list_categories(rows[name]) for name in roles.categorical]
    one_hot = OneHotEncoder(categories=categories, handle_unknown="ignore", sparse_output=False)
    return ColumnTransformer(
        [("numeric", numeric, list(roles.numeric)), ("categorical", one_hot, list(roles.categorical))]
    )


def _make_numeric_step(numbers: Numbers) -> BaseEstimator | str:
    imputer = SimpleImputer(strategy="median", keep_empty_features=True)
    steps: dict[Numbers, BaseEstimator | str] = {
        "raw": "passthrough",
        "imputed": imputer,
        "scaled": Pipeline([("impute", imputer), ("scale", StandardScaler())]),
    }
    return steps[numbers]


def _list_categories(column: pd.Series) -> list[str]:
    """Return the values of a column that are encoded, sorted: the most frequent ones, the first among equals."""
    counts = column.value_counts().sort_index().sort_values(ascending=False, kind="stable")
    return sorted(counts.index[:_MAX_ENCODED_CATEGORIES])

"""The first step of a Pipeline: categories as indicator columns, numbers as they are or imputed."""

from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder

from kfp_edge.ml.dataset import Roles


def make_preprocessing(roles: Roles, numeric: SimpleImputer | str) -> ColumnTransformer | SimpleImputer | str:
    """Return the step for the features of `roles`; `numeric` is what happens to numbers."""
    if not roles.categorical:
        return numeric
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return ColumnTransformer(
        [("numeric", numeric, list(roles.numeric)), ("categorical", one_hot, list(roles.categorical))]
    )

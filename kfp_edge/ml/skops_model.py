"""Saving and loading scikit-learn models with skops: loading a pickle can run code, loading a skops file cannot."""

import io
import re
import zipfile
from pathlib import Path

import numpy as np
import skops.io
from sklearn.base import BaseEstimator
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.tree._tree import Tree
from skops.io.exceptions import UntrustedTypesFoundException

from kfp_edge.errors import ModelError
from kfp_edge.ml.arrays import Int64s
from kfp_edge.ml.estimators import iterate_parts
from kfp_edge.storage.files import write_file

#: Types that our models contain and skops does not trust by itself. Their code runs nothing from the file, but it
#: follows node numbers without bounds checks, so `_check_trees` checks them first. Read a type's code before adding it.
TRUSTED_TYPES = (
    "kfp_edge.tasks.regression.quantile_regressor.QuantileRegressor",
    "numpy.dtype",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
)

_EPOCH = (1980, 1, 1, 0, 0, 0)
_OBJECT_ID = re.compile(r'(?<="__id__": )\d+|(?<=")\d+(?=\.np[yz]")')


def save_model(model: BaseEstimator, path: Path) -> None:
    """Save a fitted scikit-learn estimator; the same estimator always gives the same bytes.

    Raises:
        StorageError: the file system refuses.
    """
    write_file(path, _make_reproducible(skops.io.dumps(model)))


def load_model(path: Path) -> BaseEstimator:
    """Load an estimator that `save_model` or skops wrote.

    Raises:
        ModelError: the file is damaged, is no skops file, or contains a type that is not trusted.
    """
    try:
        model = skops.io.load(path, trusted=list(TRUSTED_TYPES))
    except UntrustedTypesFoundException as error:
        unknown = ", ".join(sorted(set(skops.io.get_untrusted_types(file=path)) - set(TRUSTED_TYPES)))
        raise ModelError(
            f"the model {path} was not loaded, because it contains types that are not trusted: {unknown}; "
            "use scikit-learn's own estimators, or export it to ONNX where it was trained."
        ) from error
    except FileNotFoundError as error:
        raise ModelError(f"there is no model at {path}.") from error
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, EOFError, OSError) as error:
        raise ModelError(
            f"the model {path} is damaged or was not saved with skops ({type(error).__name__}: {error}); save it again."
        ) from error
    _check_trees(model, path)
    return model


def _check_trees(model: BaseEstimator, path: Path) -> None:
    """Refuse a tree whose nodes point outside of it: predicting with it would read memory out of bounds."""
    if not all(_is_sound(part) for part in iterate_parts(model)):
        raise ModelError(f"the model {path} was altered: a tree in it points outside itself; save it again.")


def _is_sound(part: object) -> bool:
    if isinstance(part, Tree):
        children = np.concatenate([part.children_left, part.children_right])
        return _is_within(children, -1, part.node_count) and _is_within(part.feature, -2, part.n_features)
    if isinstance(part, TreePredictor):
        branches = part.nodes[part.nodes["is_leaf"] == 0]
        return all(_is_within(branches[side], 0, len(part.nodes)) for side in ("left", "right"))
    return True


def _is_within(numbers: Int64s, least: int, end: int) -> bool:
    return bool(np.all((numbers >= least) & (numbers < end)))


def _make_reproducible(saved: bytes) -> bytes:
    """Replace the memory addresses and times that skops writes with counters and a fixed date."""
    source = zipfile.ZipFile(io.BytesIO(saved))
    counters: dict[str, str] = {}

    def replace_id(match: re.Match[str]) -> str:
        return counters.setdefault(match[0], str(len(counters) + 1))

    schema = _OBJECT_ID.sub(replace_id, source.read("schema.json").decode())
    members = {"schema.json": schema.encode()}
    for name in source.namelist():
        stem, _, suffix = name.partition(".")
        if name != "schema.json":
            members[f"{counters.get(stem, stem)}.{suffix}"] = source.read(name)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(members.items()):
            info = zipfile.ZipInfo(name, date_time=_EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return target.getvalue()

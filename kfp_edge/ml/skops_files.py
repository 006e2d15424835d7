"""Saving and loading scikit-learn models with skops: a pickle can run code, a skops file cannot."""

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import skops.io
from sklearn.base import BaseEstimator
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.tree._tree import Tree
from skops.io.exceptions import UntrustedTypesFoundException

from kfp_edge.errors import KfpEdgeError
from kfp_edge.storage.files import write_file

#: Types outside skops' own list that tree models hold. Their code runs nothing from the file, but it follows
#: node numbers without looking, so `_check_trees` looks first. Extend the list only after reading a type's code.
TRUSTED_TYPES = (
    "numpy.dtype",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
)

_EPOCH = (1980, 1, 1, 0, 0, 0)
_OBJECT_ID = re.compile(r'(?<="__id__": )\d+|(?<=")\d+(?=\.np[yz]")')


def save_model(model: Any, path: Path) -> None:
    """Save a fitted scikit-learn estimator; the same estimator always gives the same bytes.

    Raises:
        KfpEdgeError: the file system refuses.
    """
    write_file(path, _reproducible(skops.io.dumps(model)))


def load_model(path: Path) -> Any:
    """Load an estimator that `save_model` or skops wrote.

    Raises:
        KfpEdgeError: the file is damaged, is no skops file, or holds a type that is not trusted.
    """
    try:
        model = skops.io.load(path, trusted=list(TRUSTED_TYPES))
    except UntrustedTypesFoundException as error:
        unknown = ", ".join(sorted(set(skops.io.get_untrusted_types(file=path)) - set(TRUSTED_TYPES)))
        raise KfpEdgeError(
            f"the model {path} was not loaded, because it holds types that are not trusted: {unknown}; "
            "use scikit-learn's own estimators, or export it to ONNX where it was trained."
        ) from error
    except FileNotFoundError as error:
        raise KfpEdgeError(f"there is no model at {path}.") from error
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, EOFError, OSError) as error:
        raise KfpEdgeError(
            f"the model {path} is damaged or was not saved with skops ({type(error).__name__}: {error}); save it again."
        ) from error
    _check_trees(model, path)
    return model


def _check_trees(value: Any, path: Path) -> None:
    """Refuse a tree whose nodes point outside of it: predicting with it would read foreign memory."""
    if isinstance(value, Tree):
        children = np.concatenate([value.children_left, value.children_right])
        sound = _within(children, -1, value.node_count) and _within(value.feature, -2, value.n_features)
    elif isinstance(value, TreePredictor):
        inner = value.nodes[value.nodes["is_leaf"] == 0]
        sound = all(_within(inner[side], 0, len(value.nodes)) for side in ("left", "right"))
    else:
        for part in _parts(value):
            _check_trees(part, path)
        return
    if not sound:
        raise KfpEdgeError(f"the model {path} was altered: a tree in it points outside itself; save it again.")


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, BaseEstimator):
        yield from vars(value).values()
    elif isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.dtype == object):
        yield from value


def _within(numbers: Any, least: int, end: int) -> bool:
    return bool(np.all((numbers >= least) & (numbers < end)))


def _reproducible(saved: bytes) -> bytes:
    """Replace what skops takes from the moment, memory addresses and the clock, by counters and a fixed date."""
    source = zipfile.ZipFile(io.BytesIO(saved))
    numbers: dict[str, str] = {}

    def number(match: re.Match[str]) -> str:
        return numbers.setdefault(match[0], str(len(numbers) + 1))

    schema = _OBJECT_ID.sub(number, source.read("schema.json").decode())
    members = {"schema.json": schema.encode()}
    for name in source.namelist():
        stem, _, suffix = name.partition(".")
        if name != "schema.json":
            members[f"{numbers.get(stem, stem)}.{suffix}"] = source.read(name)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(members.items()):
            info = zipfile.ZipInfo(name, date_time=_EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return target.getvalue()

"""Columns that may not be missing at the edge: where the model does not answer a missing value as its original does."""

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from kfp_edge.components.verify.parity import ModelPair, measure_parity
from kfp_edge.errors import ModelError, ParameterError
from kfp_edge.ml.arrays import Mask
from kfp_edge.ml.bundle import InputTensor, Signature
from kfp_edge.ml.dataset import Dataset
from kfp_edge.suggestions import suggest_or

#: Held-out rows on which each column is tried as missing: fewer where there are many columns.
_MAX_ROWS, _MIN_ROWS = 200, 4
_MAX_CELLS = 16_000_000
#: Cells that are predicted at a time.
_BATCH_CELLS = 8_000_000


def require_columns(
    signature: Signature,
    pair: ModelPair | None,
    train: Dataset,
    test: Dataset,
    tolerance: float,
    may_be_missing: Sequence[str] = (),
) -> Signature:
    """Return the signature in which the columns that may not be missing are required.

    A model has learned nothing about the absence of a column that the data never lacks: it is required. Of the
    others, and of those that the user names, each is tried as missing on held-out rows where there is the original
    model, and is required where the two models answer differently, or where the original gives no answer. Without the
    original, a column that is missing in held-out rows only is required too: nothing is known about the answer.

    Args:
        signature: The signature of the exported model.
        pair: The original and the export; None where there is no original.
        train: The rows that the model was trained on.
        test: Held-out rows on which the two models agree.
        tolerance: How far probabilities and scores may differ.
        may_be_missing: Columns that may be missing at the edge although the data never lacks them. Then the features
            of their rolling windows may be missing too.

    Raises:
        ParameterError: `may_be_missing` names no column of the model, or one that has no value for "missing".
    """
    tensors = {column.name: tensor for tensor in signature.inputs for column in tensor.columns}
    required = {name for name, tensor in tensors.items() if not _can_be_missing(tensor, name)}
    windows = train.preparation.rolling_windows
    features = [] if windows is None else list(windows.list_features())
    _check_names(may_be_missing, {*tensors, *(feature.source for feature in features)}, required)
    may_be_missing = [*may_be_missing, *(feature.name for feature in features if feature.source in may_be_missing)]
    known = [train.frame] if pair is None else [train.frame, test.frame]
    required |= {
        name for name in tensors if name not in may_be_missing and not any(frame[name].isna().any() for frame in known)
    }
    if pair is not None:
        optional = [name for name in tensors if name not in required]
        required |= {name for batch in _make_batches(test, optional) for name in _probe(pair, test, batch, tolerance)}
    return signature.model_copy(update={"inputs": tuple(_require(tensor, required) for tensor in signature.inputs)})


def check_may_be_missing(names: Sequence[str], drop: Sequence[str], role_columns: Mapping[str, str]) -> None:
    """Refuse names that cannot be features, before the data is read.

    Args:
        names: The columns that may be missing at the edge.
        drop: The columns that the data is read without.
        role_columns: Column name by role (target, time, group), "" where there is none.

    Raises:
        ParameterError: a name is that of a column that is no feature.
    """
    reasons = {column: f"has the role {role}" for role, column in role_columns.items()}
    reasons |= dict.fromkeys(drop, "is in drop")
    for name in names:
        if name in reasons:
            raise ParameterError(
                f"may_be_missing names the column {name!r}, which {reasons[name]} and is no feature; remove it there."
            )


def _check_names(names: Sequence[str], known: Collection[str], without_missing: Collection[str]) -> None:
    for name in names:
        if name not in known:
            hint = suggest_or(name, known, "it takes names of the model's columns.")
            raise ParameterError(f"may_be_missing names the column {name!r}, which the model does not have; {hint}")
        if name in without_missing:
            raise ParameterError(
                f"may_be_missing names the column {name!r}, which has no value that means missing; remove it there, or "
                "train with rows in which it is missing."
            )


def _can_be_missing(tensor: InputTensor, name: str) -> bool:
    """Return whether the tensor has a value that means "missing": NaN, or an empty string that is a category."""
    column = next(column for column in tensor.columns if column.name == name)
    return tensor.datatype in ("FP16", "FP32", "FP64") if column.categories is None else "" in column.categories


def _require(tensor: InputTensor, required: set[str]) -> InputTensor:
    columns = tuple(column.model_copy(update={"required": column.name in required}) for column in tensor.columns)
    return tensor.model_copy(update={"columns": columns})


def _make_batches(test: Dataset, names: Sequence[str]) -> Iterator[Sequence[str]]:
    size = max(1, _BATCH_CELLS // (len(test.roles.features) * len(_select_rows(test))))
    for start in range(0, len(names), size):
        yield names[start : start + size]


def _probe(pair: ModelPair, test: Dataset, names: Sequence[str], tolerance: float) -> list[str]:
    """Return those columns in whose place a missing value makes the two models disagree, or the original fail."""
    rows = _select_rows(test)
    try:
        predictions = pair.predict(_with_each_column_missing(test, rows, names))
    except ModelError:
        if len(names) == 1:
            return list(names)
        return [name for name in names for _ in _probe(pair, test, [name], tolerance)]
    agrees: Mask = measure_parity(*predictions, tolerance).is_within(tolerance).reshape(len(names), len(rows))
    return [name for name, rows_agree in zip(names, agrees, strict=True) if not rows_agree.all()]


def _select_rows(test: Dataset) -> list[int]:
    count = min(_MAX_ROWS, max(_MIN_ROWS, _MAX_CELLS // len(test.roles.features) ** 2), len(test.frame))
    return [int(row) for row in np.linspace(0, len(test.frame) - 1, count)]


def _with_each_column_missing(test: Dataset, rows: Sequence[int], names: Sequence[str]) -> Dataset:
    """Return the rows once for each of `names`, one after the other, with that column missing."""
    columns = {}
    for name in test.roles.features:
        is_text = name in test.roles.categorical
        values = np.tile(test.frame[name].to_numpy(object if is_text else np.float32)[list(rows)], len(names))
        if name in names:
            block = names.index(name) * len(rows)
            values[block : block + len(rows)] = None if is_text else np.nan
        columns[name] = pd.Series(values)
    return dataclasses.replace(test, frame=pd.DataFrame(columns))

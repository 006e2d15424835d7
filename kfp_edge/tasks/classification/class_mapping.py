"""Which class of the data each class of a brought model is."""

import json
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from kfp_edge.errors import ModelError, ParameterError
from kfp_edge.ml.arrays import ClassLabel, Float64s, Int64s, Labels
from kfp_edge.ml.class_names import is_name_of

_MAX_NAMED = 10
#: A mapping is proposed, or found missing, where balanced accuracy on training rows is at least so much better.
_CLEARLY_BETTER = 0.2


def map_classes(
    own: Sequence[ClassLabel], labels: Labels, predicted: Int64s, mapping: Mapping[str, object]
) -> tuple[ClassLabel, ...]:
    """Return the data's class for each class of the model, in the model's order.

    Classes of the same names are the same. Any other pair is the user's to state; the error proposes the one that fits
    the training rows.

    Args:
        own: The model's classes in the order of its probabilities.
        labels: The labels of n training rows.
        predicted: The position of the class in `own` that the model predicts for them, shape [n].
        mapping: What the user states: names of the model's classes, and for each a class of the data.

    Raises:
        ModelError: the classes differ, a class of the model is none of the data's, or only another order of them fits
            the training rows.
        ParameterError: the mapping names other classes than the model and the data have.
    """
    known = np.unique(labels).tolist()
    if mapping:
        stated = _apply(mapping, own, known)
        _check_order("model_classes seems to give the classes", own, stated, labels, predicted)
        return stated
    same = [_find(str(name), known) for name in own]
    if len(own) == len(known) and None not in same and len(set(same)) == len(same):
        classes = tuple(label for label in same if label is not None)
        _check_order("the model's classes seem to be", own, classes, labels, predicted)
        return classes
    knows = f"the model has the classes {_list(own)}, the data {_list(known)}"
    if len(own) != len(known):
        raise ModelError(f"{knows}; give the table that the model was trained on, or another model.")
    proposal, accuracy = _propose(own, known, labels, predicted)
    raise ModelError(
        f"{knows}; state which is which with model_classes, such as {proposal}, with which its balanced accuracy on "
        f"training rows is {accuracy:.3g}."
    )


def find_named_label(name: object, labels: Sequence[ClassLabel]) -> ClassLabel | None:
    """Return the label that a parameter's value names, or None."""
    text = str(name)
    if isinstance(name, float) and name.is_integer():  # KFP passes whole numbers as doubles
        text = str(int(name))
    return _find(text, labels)


def _find(text: str, labels: Sequence[ClassLabel]) -> ClassLabel | None:
    return next((label for label in labels if is_name_of(text, label)), None)


def _apply(
    mapping: Mapping[str, object], own: Sequence[ClassLabel], known: Sequence[ClassLabel]
) -> tuple[ClassLabel, ...]:
    """Return the classes that a mapping gives, in the model's order."""
    stated = {_find(str(name), own): find_named_label(label, known) for name, label in mapping.items()}
    wrong = None in stated or None in stated.values() or len(stated) < len(mapping)
    if wrong or set(stated) != set(own) or len(set(stated.values())) < len(own):
        raise ParameterError(
            f"model_classes is {json.dumps(dict(mapping))}; it must name each class of the model ({_list(own)}) with a "
            f"class of the data of its own ({_list(known)})."
        )
    return tuple(label for name in own if (label := stated[name]) is not None)


def _check_order(
    beginning: str, own: Sequence[ClassLabel], classes: Sequence[ClassLabel], labels: Labels, predicted: Int64s
) -> None:
    """Refuse classes that fit the training rows only in another order; `beginning` is that of the sentence."""
    recall = _compute_recall(classes, labels, predicted)
    now = float(np.trace(recall)) / len(classes)
    proposal, best = _propose(own, classes, labels, predicted)
    if now < 0.5 and best > now + _CLEARLY_BETTER:
        raise ModelError(
            f"{beginning} in another order: the balanced accuracy on training rows is {now:.3g}, and {best:.3g} with "
            f"model_classes={proposal}; give that if it is so, or another model."
        )


def _propose(
    own: Sequence[ClassLabel], known: Sequence[ClassLabel], labels: Labels, predicted: Int64s
) -> tuple[str, float]:
    """Return the mapping that fits the rows best, as the parameter is written, and its balanced accuracy."""
    recall = _compute_recall(known, labels, predicted)
    rows, columns = linear_sum_assignment(-recall)
    mapping = {str(own[row]): known[column] for row, column in zip(rows, columns, strict=True)}
    return json.dumps(mapping, ensure_ascii=False), float(recall[rows, columns].mean())


def _compute_recall(classes: Sequence[ClassLabel], labels: Labels, predicted: Int64s) -> Float64s:
    """Return the share of the rows of each class (columns) for which each position (rows) is predicted."""
    counts = [
        [np.sum((predicted == position) & (labels == label)) for label in classes] for position in range(len(classes))
    ]
    table = np.array(counts, np.float64)
    recall: Float64s = table / np.maximum(table.sum(axis=0, keepdims=True), 1)
    return recall


def _list(classes: Sequence[ClassLabel]) -> str:
    names = ", ".join(map(str, classes[:_MAX_NAMED]))
    return names if len(classes) <= _MAX_NAMED else f"{names} and {len(classes) - _MAX_NAMED:,} more"

"""Give a brought classifier the outputs `label` and `probabilities`, with the data's classes.

What its numbers are is seen on training rows: probabilities as they are, one probability of the second class, or
logits where there is no label beside them.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto
from scipy.optimize import linear_sum_assignment
from scipy.special import expit, softmax

from kfp_edge.errors import ModelError
from kfp_edge.ml.arrays import ClassLabel, Float64s, Int64s
from kfp_edge.ml.onnx_model import Tensor, read_opsets
from kfp_edge.onnx_graph.editing import GraphEditor, element_of
from kfp_edge.onnx_graph.normalization import set_opsets
from kfp_edge.onnx_graph.zip_maps import find_classes
from kfp_edge.tasks.brought import BroughtModel, StandardOutputs, check_unused
from kfp_edge.tasks.classification.class_mapping import map_classes

_ML = "ai.onnx.ml"
#: The first version of ai.onnx.ml whose LabelEncoder has pairs of any types.
_LABEL_ENCODER_VERSION = 2
_TARGET_ML_VERSION = 3
#: How far a probability may be out of 0 to 1: more than the rounding of thousands of trees, less than any score.
_ROUNDING = 1e-4
#: Operators that predict a number, of the domain ai.onnx.ml, and those that leave its value as it is.
_REGRESSORS = ("TreeEnsembleRegressor", "LinearRegressor", "SVMRegressor")
_KEEPING_VALUES = ("Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Cast")
#: How far probabilities may miss the sum 1, as in half precision.
_SUM_TOLERANCE = 0.01


@dataclass(frozen=True)
class _Probabilities:
    """The probabilities of the tried rows, shape [rows, classes], and the graph's value that holds them."""

    values: Float64s
    name: str
    element: int
    note: str = ""


@dataclass(frozen=True)
class _OwnLabels:
    """The model's classes in the order of its probabilities, and the position of its label among them, shape [rows].

    `output` is the output that has the label; empty where it follows from the probabilities.
    """

    classes: tuple[ClassLabel, ...]
    positions: Int64s
    output: str = ""
    note: str = ""


def standardize_outputs(model: BroughtModel, outputs: Sequence[str]) -> StandardOutputs:
    """Change a classifier so that it has the outputs `label` and `probabilities`, in the data's classes.

    Args:
        model: The model.
        outputs: The names of the two outputs.

    Raises:
        ModelError: it gives no probabilities, or has other classes than the data.
        ParameterError: the mapping of classes does not fit, or a threshold is stated.
    """
    check_unused(model.options, "classification", threshold=True)
    labels, numbers = model.list_labels(), model.list_numbers()
    _check_outputs(model, labels, numbers)
    source = find_classes(model.proto, labels[0]) if labels else ()
    editor = GraphEditor(model.proto, outputs)
    probabilities = _read_probabilities(editor, model, numbers, has_label=bool(labels))
    own = _read_labels(model, probabilities.values, model.classes or source, labels)
    classes = map_classes(own.classes, model.data.y(), own.positions, model.options.classes)
    label, probability = outputs
    _add_label(editor, own, classes, probabilities, label)
    editor.add("Identity", probabilities.name, output=probability)
    is_text = isinstance(classes[0], str)
    shapes: dict[str, tuple[int, list[int | None]]] = {
        label: (TensorProto.STRING if is_text else TensorProto.INT64, [None]),
        probability: (probabilities.element, [None, len(classes)]),
    }
    editor.set_outputs(shapes)
    expected = np.array(classes, object if is_text else np.int64)[own.positions]
    mapped = "" if own.classes == classes else f"Classes of the model are those of the data: {_pair(own, classes)}."
    notes = tuple(note for note in (probabilities.note, own.note, mapped) if note)
    return StandardOutputs(model.proto, {label: expected, probability: probabilities.values}, classes, notes=notes)


def _pair(own: _OwnLabels, classes: Sequence[ClassLabel]) -> str:
    return ", ".join(f"{name} is {label}" for name, label in zip(own.classes, classes, strict=True))


def _check_outputs(model: BroughtModel, labels: Sequence[str], numbers: Sequence[str]) -> None:
    if not numbers:
        raise ModelError(
            f"the model gives labels only (its outputs are {model.describe_outputs()}); export it with probabilities."
        )
    if len(labels) > 1 or (len(numbers) > 1 and not _is_divided(model, labels, numbers)):
        raise ModelError(
            f"the model has the outputs {model.describe_outputs()}; name the one with the probabilities, such as "
            f'model_outputs=["{numbers[0]}"].'
        )


def _is_divided(model: BroughtModel, labels: Sequence[str], numbers: Sequence[str]) -> bool:
    """Return whether each class has an output of its own, as of skl2onnx with zipmap="columns"."""
    is_single = all(model.answers[name].size == len(model.answers[name]) for name in numbers)
    return is_single and len(labels) == 1 and len(numbers) == len(np.unique(model.data.y()))


def _read_probabilities(
    editor: GraphEditor, model: BroughtModel, numbers: Sequence[str], *, has_label: bool
) -> _Probabilities:
    values = np.concatenate([model.get_numbers(name) for name in numbers], axis=1)
    dtype = model.answers[numbers[0]].dtype
    columns = [
        editor.add("Reshape", editor.find(name), editor.add_constant([-1, model.get_numbers(name).shape[1]]))
        for name in numbers
    ]
    name = columns[0] if len(columns) == 1 else editor.add("Concat", *columns, axis=1)
    element = element_of(model.answers[numbers[0]])
    if values.shape[1] == 1:
        return _complete_single(editor, model, _Probabilities(values, name, element), dtype, has_label=has_label)
    return _normalize_many(editor, _Probabilities(values, name, element), has_label=has_label)


def _complete_single(
    editor: GraphEditor, model: BroughtModel, single: _Probabilities, dtype: np.dtype, *, has_label: bool
) -> _Probabilities:
    """Make the probabilities of two classes of one number a row: that of the second class, or its logit."""
    classes = len(np.unique(model.data.y()))
    if classes != 2:
        raise ModelError(
            f"the model gives one number for each row, and the data has {classes} classes; "
            "give a model with a probability of each class."
        )
    values, name = single.values, single.name
    note = "Its only number is the probability of the second class."
    if (values < -_ROUNDING).any() or (values > 1 + _ROUNDING).any():
        _check_no_label(values, has_label=has_label)
        _check_no_regressor(editor, single)
        values, name = expit(values), editor.add("Sigmoid", name)
        note = "Its only number is the logit of the second class: a Sigmoid makes it a probability."
    else:
        clipped = _clip(editor, single)
        values, name = clipped.values, clipped.name
    rest = editor.add("Sub", editor.add_constant(1, dtype), name)
    both = editor.add("Concat", rest, name, axis=1)
    return _Probabilities(np.concatenate([1 - values, values], axis=1), both, single.element, note)


def _normalize_many(editor: GraphEditor, many: _Probabilities, *, has_label: bool) -> _Probabilities:
    """Return the numbers of several classes if they are probabilities, or make them such if they are logits."""
    values = many.values
    is_share = bool(((values >= -_ROUNDING) & (values <= 1 + _ROUNDING)).all())
    if is_share and (np.abs(values.sum(axis=1) - 1) <= _SUM_TOLERANCE).all():
        return _clip(editor, many)
    _check_no_label(values, has_label=has_label)
    if is_share:
        raise ModelError(
            f"the model's numbers for a row are from 0 to 1 and do not have the sum 1 (such as {_format(values)}), as "
            "of several labels at once; give a model of one label."
        )
    name = editor.add("Softmax", many.name, axis=1)
    return _Probabilities(
        softmax(values, axis=1), name, many.element, "Its numbers are logits: a Softmax makes them probabilities."
    )


def _clip(editor: GraphEditor, shares: _Probabilities) -> _Probabilities:
    """Return numbers from 0 to 1: a forest's single-precision sum of votes may miss them by its rounding."""
    clipped = shares.values.clip(0, 1)
    if np.array_equal(clipped, shares.values):
        return shares
    note = "Probabilities that rounding takes out of 0 to 1 are cut to it."
    return dataclasses.replace(
        shares, values=clipped, name=editor.clip_to_shares(shares.name, shares.element), note=note
    )


def _check_no_label(values: Float64s, *, has_label: bool) -> None:
    """Refuse numbers beside a label that are no probabilities: what they are, such as distances, is not known."""
    if has_label:
        raise ModelError(
            f"the model gives a label and numbers that are no probabilities (such as {_format(values)}); export it "
            "with probabilities (skl2onnx: raw_scores=False; scikit-learn's SVC: in a CalibratedClassifierCV)."
        )


def _check_no_regressor(editor: GraphEditor, single: _Probabilities) -> None:
    """Refuse the number that a regressor predicts: it is no logit, and 0 is no limit between classes."""
    producers = {output: node for node in editor.proto.graph.node for output in node.output}
    node = producers.get(single.name)
    while node is not None and node.op_type in _KEEPING_VALUES:
        node = producers.get(node.input[0])
    if node is not None and node.op_type in _REGRESSORS:
        raise ModelError(
            f"the model predicts a number ({node.op_type}, such as {_format(single.values)}) and no class; deliver it "
            "with task=regression, or export a classifier with probabilities."
        )


def _format(values: Float64s) -> str:
    return ", ".join(f"{value:g}" for value in values[0][:5])


def _read_labels(
    model: BroughtModel, probabilities: Float64s, named: Sequence[ClassLabel], labels: Sequence[str]
) -> _OwnLabels:
    """Find the model's classes, in the order of its probabilities, and its label for each row."""
    count, best = probabilities.shape[1], probabilities.argmax(axis=1)
    if named and len(named) != count:
        raise ModelError(
            f"the model gives {count} numbers for each row and names {len(named)} classes; export it again, with a "
            "probability of each class."
        )
    if not labels:
        note = "" if named else "It names no classes: they are 0, 1, ... in the order of its probabilities."
        return _OwnLabels(tuple(named) or tuple(range(count)), best, note=note)
    given = _to_plain(model.answers[labels[0]])
    classes = tuple(named) or _order_classes(_find_classes(given, count), given, probabilities)
    positions = {name: position for position, name in enumerate(classes)}
    if all(label in positions for label in given):
        return _OwnLabels(classes, np.array([positions[label] for label in given], np.int64), labels[0])
    if given == best.tolist():  # onnxruntime gives CatBoost's positions in place of its classes
        return _OwnLabels(
            classes, best, note="Its label is the position of a class: it is taken from the probabilities."
        )
    unknown = next(label for label in given if label not in positions)
    raise ModelError(
        f"the model gives the label {unknown!r} for a training row, and has the classes "
        f"{', '.join(map(str, classes))}; export it again."
    )


def _to_plain(values: Tensor) -> list[ClassLabel]:
    """Return labels as texts or integers."""
    flat = values.reshape(-1)
    if values.dtype == object:
        return [str(value) for value in flat]
    return [int(value) for value in flat]


def _find_classes(given: Sequence[ClassLabel], count: int) -> tuple[ClassLabel, ...]:
    """Return the classes of a model that names none: those of its labels, sorted, or the numbers from 0."""
    seen = sorted(set(given), key=lambda label: (isinstance(label, str), label))
    if len(seen) == count:
        return tuple(seen)
    if set(seen) <= set(range(count)):
        return tuple(range(count))
    raise ModelError(
        f"the model gives {count} numbers for each row, and {len(seen)} labels for the training rows "
        f"({', '.join(map(str, seen[:10]))}); give the table that it was trained on, or export it without the label."
    )


def _order_classes(
    classes: tuple[ClassLabel, ...], given: Sequence[ClassLabel], probabilities: Float64s
) -> tuple[ClassLabel, ...]:
    """Return the classes in the order of the probabilities: each one's are highest in the rows that have its label."""
    labels = np.array([classes.index(label) for label in given])
    means = np.stack(
        [
            probabilities[labels == number].sum(axis=0) / max(1, (labels == number).sum())
            for number in range(len(classes))
        ],
        axis=1,
    )
    columns, numbers = linear_sum_assignment(-means)
    is_better = means[columns, numbers].sum() > np.trace(means)
    return tuple(classes[number] for number in numbers) if is_better else classes


def _add_label(
    editor: GraphEditor, own: _OwnLabels, classes: Sequence[ClassLabel], probabilities: _Probabilities, output: str
) -> None:
    """Append the nodes of the label: the model's own decision where it gives one, since equal numbers may decide."""
    if own.output and own.classes == tuple(classes):
        flat = editor.flatten(editor.find(own.output))
        if isinstance(classes[0], str):
            editor.add("Identity", flat, output=output)
        else:
            editor.add("Cast", flat, output=output, to=TensorProto.INT64)
        return
    if not own.output:
        position = editor.add("ArgMax", probabilities.name, axis=1, keepdims=0)
    elif isinstance(own.classes[0], str):
        position = _find_position_of_text(editor, own)
    else:
        position = _find_position_of_number(editor, own)
    names = editor.add_constant(classes, object if isinstance(classes[0], str) else np.int64)
    editor.add("Gather", names, position, output=output)


def _find_position_of_text(editor: GraphEditor, own: _OwnLabels) -> str:
    versions = read_opsets(editor.proto)
    if versions.get(_ML, 0) < _LABEL_ENCODER_VERSION:
        set_opsets(editor.proto, {**versions, _ML: _TARGET_ML_VERSION})
    label = editor.flatten(editor.find(own.output))
    keys, values = list(own.classes), list(range(len(own.classes)))
    return editor.add("LabelEncoder", label, domain=_ML, keys_strings=keys, values_int64s=values)


def _find_position_of_number(editor: GraphEditor, own: _OwnLabels) -> str:
    label = editor.add("Cast", editor.find(own.output), to=TensorProto.INT64)
    column = editor.add("Reshape", label, editor.add_constant([-1, 1]))
    is_class = editor.add("Equal", column, editor.add_constant([own.classes]))
    return editor.add("ArgMax", editor.add("Cast", is_class, to=TensorProto.FLOAT), axis=1, keepdims=0)

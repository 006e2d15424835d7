"""Give a brought detector the outputs `label`, 1 for an alarm, and `score`, which is higher for an anomaly."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto
from sklearn.metrics import roc_auc_score

from kfp_edge.errors import ModelError
from kfp_edge.ml.arrays import Float32s, Mask
from kfp_edge.ml.onnx_model import Tensor
from kfp_edge.onnx_graph.editing import GraphEditor
from kfp_edge.onnx_graph.traversal import read_attributes
from kfp_edge.tasks.anomaly.threshold_rows import find_normal_rows
from kfp_edge.tasks.brought import BroughtModel, StandardOutputs, check_unused

_COMPARISONS = ("Greater", "GreaterOrEqual", "Less", "LessOrEqual")
#: Operators that pass a score on.
_PASSING = ("Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Cast")
#: A score that ranks labelled anomalies so low has the other direction.
_LOWEST_ROC_AUC = 0.4


@dataclass(frozen=True)
class _Rule:
    """Where an alarm begins: above `threshold`, or below it where `is_turned`; the score is negated then."""

    threshold: float
    is_turned: bool
    note: str

    @property
    def released_threshold(self) -> np.float32:
        """The score above which the released model raises an alarm."""
        return np.float32(-self.threshold if self.is_turned else self.threshold)

    def turn(self, score: Float32s) -> Float32s:
        """Return scores that are higher for an anomaly."""
        return -score if self.is_turned else score


def standardize_outputs(model: BroughtModel, outputs: Sequence[str]) -> StandardOutputs:
    """Change a detector so that its label is 1 where its score, of shape [rows], is above the threshold.

    Args:
        model: The model.
        outputs: The names of the two outputs.

    Raises:
        ModelError: it gives no score, or its label does not follow from the score.
        ParameterError: classes are stated.
    """
    check_unused(model.options, "anomaly detection", classes=True)
    labels, numbers = model.list_labels(), model.list_numbers()
    if len(numbers) != 1 or len(labels) > 1 or model.answers[numbers[0]].size != len(model.data.frame):
        raise ModelError(
            f"the model has the outputs {model.describe_outputs()}; a detector gives one score for each row, and a "
            "label where it has a threshold; name both in model_outputs, or give another model."
        )
    score = model.get_numbers(numbers[0])[:, 0].astype(np.float32)
    if labels:
        rule = _find_rule(model, numbers[0], score, _read_alarms(model, labels[0]))
    else:
        rule = _choose_rule(model, score)
    _check_direction(model, rule.turn(score))
    label_name, score_name = outputs
    editor = GraphEditor(model.proto, outputs)
    value = editor.add("Cast", editor.flatten(editor.find(numbers[0])), to=TensorProto.FLOAT)
    editor.add("Neg" if rule.is_turned else "Identity", value, output=score_name)
    limit = editor.add_constant(rule.released_threshold, np.float32)
    editor.add("Cast", editor.add("Greater", score_name, limit), output=label_name, to=TensorProto.INT64)
    editor.set_outputs({label_name: (TensorProto.INT64, [None]), score_name: (TensorProto.FLOAT, [None])})
    turned = rule.turn(score)
    alarms = (turned > rule.released_threshold).astype(np.int64)
    expected: dict[str, Tensor] = {label_name: alarms, score_name: turned}
    return StandardOutputs(model.proto, expected, threshold=float(rule.released_threshold), notes=(rule.note,))


def _read_alarms(model: BroughtModel, output: str) -> Mask:
    """Return the rows, shape [rows], in which the model's own label is an anomaly: 1 of 0/1, or -1 of 1/-1."""
    label = model.answers[output].reshape(-1)
    kinds = {str(int(value)) if label.dtype != object else str(value) for value in np.unique(label)}
    if label.dtype != object and kinds <= {"1", "-1"} and kinds != {"1"}:
        return np.asarray(label == -1)
    if label.dtype != object and kinds <= {"0", "1"} and kinds != {"1"}:
        return np.asarray(label == 1)
    if kinds == {"1"}:  # normal in scikit-learn, an alarm elsewhere; a detector that always raises one is of no use
        return np.zeros(len(label), dtype=bool)
    raise ModelError(
        f"the model's labels are {', '.join(sorted(kinds)[:10])}; those of a detector are 0 and 1 (an alarm), or "
        "scikit-learn's 1 and -1 (an anomaly)."
    )


def _find_rule(model: BroughtModel, output: str, score: Float32s, is_alarm: Mask) -> _Rule:
    """Return the rule by which the model's label follows from its score on every training row."""
    stated = [] if model.options.threshold is None else [model.options.threshold]
    for threshold in _list_candidates(stated or [*_list_limits(model.proto, output), 0.0]):
        if np.array_equal(is_alarm, score > threshold):
            return _Rule(threshold, False, f"Its label is an alarm where its score is above {threshold:g}.")
        if np.array_equal(is_alarm, score < threshold):
            return _Rule(
                threshold,
                True,
                f"Its label is an anomaly where its score is below {threshold:g}: the score was negated, and the label "
                "is 1 for an anomaly.",
            )
    raise ModelError(_explain_labels(score, is_alarm, stated))


def _list_candidates(limits: Iterable[float]) -> Iterator[float]:
    """Yield limits, each also as the one of "at least" and "at most", as single-precision numbers."""
    for limit in limits:
        for direction in (limit, -np.inf, np.inf):
            yield float(np.nextafter(np.float32(limit), np.float32(direction)))


def _explain_labels(score: Float32s, is_alarm: Mask, stated: Sequence[float]) -> str:
    """Return between which scores the label changes, or that it depends on something else."""
    for low, high in ((~is_alarm, is_alarm), (is_alarm, ~is_alarm)):
        if low.any() and high.any() and score[low].max() < score[high].min():
            between = f"between the scores {score[low].max():.9g} and {score[high].min():.9g} of the training rows"
            given = f", not at model_threshold={stated[0]:g}" if stated else ""
            return f"the model's label changes {between}{given}; give the limit of its score as model_threshold."
    return (
        "the model's label does not follow from a limit of its score on the training rows; export a detector whose "
        "label is 1 where its score is above a limit, or name its score in model_outputs."
    )


def _choose_rule(model: BroughtModel, score: Float32s) -> _Rule:
    """Return the rule of a detector without a label: the limit that is stated, or the rate asked for."""
    assumed = "It has no label: a higher score is taken as more anomalous"
    threshold, rate = model.options.threshold, model.options.false_alarm_rate
    if threshold is not None:
        return _Rule(threshold, False, f"{assumed}, and above {threshold:g}, as stated, as an alarm.")
    limit = float(np.quantile(score[find_normal_rows(model.data)], 1 - rate, method="higher"))
    return _Rule(
        limit,
        False,
        f"{assumed}; the threshold {limit:g} is the quantile of the normal training rows for a false-alarm rate of "
        f"{rate:g}, and on rows that the model was trained on it may be too low.",
    )


def _check_direction(model: BroughtModel, score: Float32s) -> None:
    if not model.data.roles.target:
        return
    labels = model.data.y()
    if len(np.unique(labels)) < 2:
        return
    area = float(roc_auc_score(labels == 1, score))
    if area < _LOWEST_ROC_AUC:
        raise ModelError(
            f"the model's score is higher for normal rows than for anomalies (ROC AUC {area:.3g} on the training "
            "rows); negate it in the model, and export it again."
        )


def _list_limits(proto: onnx.ModelProto, output: str) -> Iterator[float]:
    """Yield the constants with which the model compares its score."""
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    scores = _trace_back(proto, output)
    for node in proto.graph.node:
        if node.op_type == "Constant" and "value" in (attributes := read_attributes(node)):
            constants[node.output[0]] = onnx.numpy_helper.to_array(attributes["value"])
        if node.op_type in _PASSING and node.input[0] in scores:
            scores.add(node.output[0])
        if node.op_type in _COMPARISONS:
            for value, limit in (node.input, reversed(node.input)):
                if value in scores and limit in constants and constants[limit].size == 1:
                    yield float(constants[limit].reshape(-1)[0])


def _trace_back(proto: onnx.ModelProto, output: str) -> set[str]:
    """Return an output and the values before it that are the same numbers."""
    producers = {name: node for node in proto.graph.node for name in node.output}
    values, name = {output}, output
    while name in producers and producers[name].op_type in _PASSING:
        name = producers[name].input[0]
        values.add(name)
    return values

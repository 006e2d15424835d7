"""A model that was trained elsewhere and came as ONNX: what a task has to know to give it its own outputs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx

from kfp_edge.errors import ModelError, ParameterError
from kfp_edge.ml.arrays import ClassLabel, Float64s
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.onnx_model import Tensor

#: An output with more different whole numbers than these is no label.
_MAX_LABELS = 20


@dataclass(frozen=True)
class BroughtOptions:
    """What the user states about a model that was trained elsewhere; empty where the model and the data say it."""

    #: The data's class for each class of the model, by their names.
    classes: Mapping[str, object] = field(default_factory=dict)
    #: The outputs to use, by name.
    outputs: tuple[str, ...] = ()
    #: The score, as the model gives it, that separates normal rows from anomalies.
    threshold: float | None = None
    #: The share of normal rows that may raise an alarm, for a detector without a threshold.
    false_alarm_rate: float = 0.001


@dataclass(frozen=True)
class BroughtModel:
    """A model in the common form of `kfp_edge.onnx_graph.normalization`, with its answers for training rows."""

    #: The model; a task may change it.
    proto: onnx.ModelProto
    #: The classes that its ZipMap named, in the order of the probabilities; empty where there was none.
    classes: tuple[ClassLabel, ...]
    #: Training rows on which it was tried.
    data: Dataset
    #: Its outputs for them by name, each of shape [rows, ...].
    answers: Mapping[str, Tensor]
    options: BroughtOptions

    def list_labels(self) -> list[str]:
        """Return the outputs that hold one label for each row."""
        return [name for name, values in self.answers.items() if _is_label(values, is_alone=len(self.answers) == 1)]

    def list_numbers(self) -> list[str]:
        """Return the other outputs, which hold one number for each row, or several."""
        labels = self.list_labels()
        return [name for name in self.answers if name not in labels]

    def describe_outputs(self) -> str:
        """Return the outputs with their shapes in words."""
        return ", ".join(f"{name} {['rows', *values.shape[1:]]}" for name, values in self.answers.items()).replace(
            "'rows'", "rows"
        )

    def get_numbers(self, name: str) -> Float64s:
        """Return an output of numbers in double precision, shape [rows, k].

        Raises:
            ModelError: one is missing or infinite.
        """
        values = self.answers[name].reshape(len(self.answers[name]), -1).astype(np.float64)
        wrong = int((~np.isfinite(values)).any(axis=1).sum())
        if wrong:
            raise ModelError(
                f"the model's output {name!r} is NaN or infinite for {wrong:,} of {len(values):,} training rows; fill "
                "missing values in the data, or export a model that can compute with them."
            )
        return values


@dataclass(frozen=True)
class StandardOutputs:
    """What a task made of a brought model, whose graph has the outputs of the task now."""

    proto: onnx.ModelProto
    #: What these outputs must be for the training rows on which the model was tried.
    expected: Mapping[str, Tensor]
    #: The labels of a classifier in the order of its probabilities.
    classes: tuple[ClassLabel, ...] = ()
    #: The score above which a detector raises an alarm.
    threshold: float | None = None
    #: What was changed or assumed, each in one sentence.
    notes: tuple[str, ...] = ()


def check_unused(options: BroughtOptions, title: str, *, classes: bool = False, threshold: bool = False) -> None:
    """Refuse what is stated about a model and has no meaning for its task.

    Args:
        options: What the user states.
        title: What the task is called.
        classes: Whether the task has no classes to name.
        threshold: Whether the task has no score with a threshold.

    Raises:
        ParameterError: with the parameter.
    """
    if classes and options.classes:
        raise ParameterError(f"model_classes names the classes of a classifier; leave it empty for {title}.")
    if threshold and options.threshold is not None:
        raise ParameterError(f"model_threshold is the limit of a detector's score; leave it empty for {title}.")


def _is_label(values: Tensor, *, is_alone: bool) -> bool:
    """Return whether an output is one label a row: integers, text, or a few whole floats beside other outputs."""
    if values.size != len(values):
        return False
    if values.dtype.kind != "f":
        return True
    is_whole = bool(np.isfinite(values).all() and (values == np.round(values)).all())
    return not is_alone and is_whole and len(np.unique(values)) <= _MAX_LABELS

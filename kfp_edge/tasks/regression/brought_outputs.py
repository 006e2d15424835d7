"""Give a brought regressor the output `prediction`, and quantiles if it has outputs that are called so."""

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import r2_score

from kfp_edge.errors import ModelError
from kfp_edge.ml.arrays import Floats
from kfp_edge.ml.onnx_model import Tensor
from kfp_edge.onnx_graph.editing import GraphEditor, element_of
from kfp_edge.tasks.brought import BroughtModel, StandardOutputs, check_unused

#: A model that follows the target so closely, and has less than such a share of the R2 that it would have on the scale
#: of the target, the square of the correlation, predicts it on another scale.
_CLOSE_CORRELATION, _LEAST_SHARE = 0.8, 0.5


def standardize_outputs(model: BroughtModel, outputs: Sequence[str]) -> StandardOutputs:
    """Change a regressor so that its outputs, of one number a row, have the names of the task and the shape [rows].

    Args:
        model: The model.
        outputs: The names of the outputs, the prediction first; a model with one output may call it anything.

    Raises:
        ModelError: it gives several numbers a row, or no numbers, or those of another scale.
        ParameterError: classes or a threshold are stated.
    """
    check_unused(model.options, "regression", classes=True, threshold=True)
    names = [name for name in outputs if name in model.answers] if len(model.answers) > 1 else list(model.answers)
    if set(names) != set(model.answers) or any(not _is_number(model.answers[name]) for name in names):
        raise ModelError(
            f"the model has the outputs {model.describe_outputs()}, and one number for each row is needed; "
            f"{_advise(model)}."
        )
    values = {name: model.get_numbers(name)[:, 0] for name in names}
    _check_scale(values[names[0]], model.data.target_values())
    editor = GraphEditor(model.proto, outputs)
    expected: dict[str, Tensor] = {}
    for name, standard in zip(names, outputs if len(names) > 1 else outputs[:1], strict=True):
        flat = editor.flatten(editor.find(name))
        editor.add("Identity", flat, output=standard)
        expected[standard] = values[name]
    editor.set_outputs(
        {standard: (element_of(model.answers[name]), [None]) for name, standard in zip(names, expected, strict=True)}
    )
    return StandardOutputs(model.proto, expected)


def _advise(model: BroughtModel) -> str:
    """Return what to change about a model whose outputs are not one number a row each."""
    numbers = [name for name, values in model.answers.items() if _is_number(values)]
    if numbers:
        return f'name the prediction, such as model_outputs=["{numbers[0]}"], or give a model of one target'
    if model.classes or model.list_labels():
        return "deliver a classifier with task=classification, or give a model that predicts a number"
    return "give a model of one target"


def _is_number(values: Tensor) -> bool:
    return values.size == len(values) and values.dtype.kind == "f"


def _check_scale(prediction: Floats, target: Floats) -> None:
    if len(target) < 3 or not prediction.std() or not target.std():
        return
    correlation, r2 = float(np.corrcoef(prediction, target)[0, 1]), float(r2_score(target, prediction))
    if correlation > _CLOSE_CORRELATION and r2 < _LEAST_SHARE * correlation**2:
        raise ModelError(
            f"the model's numbers follow the target and are on another scale (correlation {correlation:.3g}, R2 "
            f"{r2:.3g} on training rows); undo the scaling of the target in the model, and export it again."
        )

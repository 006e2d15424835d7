"""Statistics of training features and held-out answers for the bundle, with which drift is measured."""

import dataclasses
from collections import Counter
from collections.abc import Sequence

import numpy as np

from kfp_edge.components.verify.histograms import compute_histogram
from kfp_edge.components.verify.samples import is_served
from kfp_edge.ml.bundle import Frequencies, Histogram, InputTensor, OutputReference, Reference
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.onnx_model import OnnxModel
from kfp_edge.tasks.registry import predict_onnx, task_of

#: The labels of a detector, which has no classes.
_ALARM_LABELS = (0, 1)


def compute_reference(
    data: Dataset, inputs: Sequence[InputTensor] = (), outputs: OutputReference | None = None
) -> Reference:
    """Return the statistics of every feature: histograms by deciles for numbers, counts for categories.

    They are those of the rows that the model learns from: for a detector the normal ones, since failures among the
    training rows are no part of what is normal at the edge.

    Args:
        data: The training rows.
        inputs: The inputs of the model, whose datatypes the values have at the edge; FP32 where it has no such column.
        outputs: The statistics of its answers.
    """
    data = task_of(data).select_fitted_rows(data)
    datatypes = {column.name: tensor.datatype for tensor in inputs for column in tensor.columns}
    features: dict[str, Histogram | Frequencies] = {}
    for name in data.roles.features:
        values = data.frame[name]
        if name in data.roles.categorical:
            counts = values.value_counts().sort_index()
            missing = int(values.isna().sum())
            features[name] = Frequencies(counts={str(key): int(n) for key, n in counts.items()}, missing=missing)
        else:
            features[name] = compute_histogram(
                values.to_numpy(np.float64, na_value=np.nan), datatypes.get(name, "FP32")
            )
    return Reference(rows=len(data.frame), features=features, outputs=outputs)


def compute_output_reference(model: OnnxModel, data: Dataset) -> OutputReference | None:
    """Return the statistics of a model's answers for held-out rows; None where the server takes none of them.

    Like those of the features they are of the rows that the model was made for: for a detector the normal ones.
    """
    data = dataclasses.replace(data, frame=data.frame[is_served(model.signature, data.x())])
    data = task_of(data).select_fitted_rows(data)
    if not len(data.frame):
        return None
    predictions = predict_onnx(model, data.x(), data.roles.positive)
    answers = predictions.answers
    datatypes = {tensor.name: tensor.datatype for tensor in model.signature.outputs}
    values = {name: compute_histogram(each.values, datatypes[each.tensor]) for name, each in answers.items()}
    if predictions.label is None:
        return OutputReference(rows=len(data.frame), values=values)
    counts = Counter(map(str, predictions.label.reshape(-1).tolist()))
    names = sorted({*counts, *map(str, predictions.classes or _ALARM_LABELS)})
    positive = next((each.positive for each in answers.values()), None)
    classes = {name: counts[name] for name in names}
    return OutputReference(rows=len(data.frame), values=values, classes=classes, positive=positive)

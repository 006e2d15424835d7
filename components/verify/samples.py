"""Recorded inferences for the bundle: the server replays them at start, the staging test over the network."""

import numpy as np
import pandas as pd

from kfp_edge.ml.bundle import Datatype, Sample
from kfp_edge.ml.onnx_model import OnnxModel, Tensor
from kfp_edge.storage.files import JsonObject

_MAX_SAMPLES = 20


def record_samples(model: OnnxModel, rows: pd.DataFrame) -> tuple[Sample, ...]:
    """Record up to 20 rows with the model's outputs, as Open Inference Protocol bodies; every label is among them.

    JSON has no NaN: rows with missing numbers are left out where complete ones exist, otherwise they are filled with
    medians.
    """
    complete = rows.dropna()
    usable = complete if len(complete) else rows.fillna(rows.median(numeric_only=True))
    predicted = model.predict(usable).label
    labels = np.unique(predicted)
    selected: list[int] = []
    for label in labels:
        candidates = np.flatnonzero(predicted == label)
        count = min(len(candidates), max(1, _MAX_SAMPLES // len(labels)))
        selected += [int(candidates[index]) for index in np.linspace(0, len(candidates) - 1, count).astype(int)]
    return tuple(_record_sample(model, usable.iloc[[row]]) for row in sorted(selected))


def _record_sample(model: OnnxModel, row: pd.DataFrame) -> Sample:
    feed = model.to_input_feed(row)
    outputs = model.run(feed)
    datatypes = {tensor.name: tensor.datatype for tensor in model.signature.inputs}
    datatypes |= {tensor.name: tensor.datatype for tensor in model.signature.outputs}
    return Sample(
        request={"inputs": [_to_json(name, datatypes[name], array) for name, array in feed.items()]},
        response={"outputs": [_to_json(name, datatypes[name], array) for name, array in outputs.items()]},
    )


def _to_json(name: str, datatype: Datatype, array: Tensor) -> JsonObject:
    return {"name": name, "datatype": datatype, "shape": list(array.shape), "data": array.reshape(-1).tolist()}

"""Models that were trained elsewhere, taken through `export`."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from kfp_edge.components.export.export import export_model
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.onnx_model import OnnxModel, Tensor
from kfp_edge.tasks.brought import BroughtOptions

#: The scale of the features in `support.brought_models.rows`.
MEAN, DEVIATION = np.array([50, 6, 1500], np.float32), np.array([5, 1, 200], np.float32)


def export_brought(model: onnx.ModelProto | Path, data: Dataset, folder: Path, **options: Any) -> OnnxModel:
    """Export a model that was trained elsewhere, given as a file or as it is saved, and open what was written."""
    path = folder / "brought.onnx"
    path.write_bytes(model.read_bytes() if isinstance(model, Path) else model.SerializeToString())
    export_model(path, data, folder / "model.onnx", BroughtOptions(**options))
    return OnnxModel.load(folder / "model.onnx")


def answer(model: OnnxModel, data: Dataset, rows: int | None = None) -> dict[str, Tensor]:
    """Return the outputs of an exported model for the first rows of the data."""
    return model.run(model.to_input_feed(data.x().iloc[:rows]))


def make_net(
    *tail: onnx.NodeProto,
    outputs: dict[str, tuple[int, list[int | None]]],
    batch: int | None = None,
    opset: int = 18,
    ir_version: int = 9,
    element: int = TensorProto.FLOAT,
    constants: dict[str, Any] | None = None,
) -> onnx.ModelProto:
    """Return a net as PyTorch's exporter writes it: the input `x` [batch, 3] is scaled, then come the nodes of `tail`.

    `scaled` is the scaled input, `logits` [batch, 2] are those of the first feature.
    """
    dtype = helper.tensor_dtype_to_np_dtype(element)
    tensors = {
        "mean": MEAN.astype(dtype),
        "deviation": DEVIATION.astype(dtype),
        "weights": np.array([[-2, 2], [0, 0], [0, 0]], dtype),
        **(constants or {}),
    }
    nodes = [
        helper.make_node("Sub", ["x", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "deviation"], ["scaled"]),
        helper.make_node("MatMul", ["scaled", "weights"], ["logits"]),
        *tail,
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", element, [batch, 3])],
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in outputs.items()],
        [numpy_helper.from_array(np.asarray(values), name) for name, values in tensors.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)


def compute_probabilities(features: Tensor) -> Tensor:
    """Return the probabilities of the net's logits, shape [rows, 2], as NumPy computes them."""
    second = 1 / (1 + np.exp(-4 * (features[:, 0].astype(np.float64) - 50) / 5))
    return np.stack([1 - second, second], axis=1)


def make_classifier_net(**options: Any) -> onnx.ModelProto:
    """Return a net with the outputs `label`, 0 or 1, and `probabilities`."""
    return make_net(
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["logits"], ["label"], axis=1, keepdims=0),
        outputs={
            "label": (TensorProto.INT64, [options.get("batch")]),
            "probabilities": (options.get("element", TensorProto.FLOAT), [options.get("batch"), 2]),
        },
        **options,
    )

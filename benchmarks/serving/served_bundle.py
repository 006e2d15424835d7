"""The bundle that is served: the AI4I classifier as the pipeline trains it, with rows that it was not trained on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnxruntime

from kfp_edge.components.export.export import export_model
from kfp_edge.components.ingest.ingest import ingest
from kfp_edge.components.ingest.options import IngestOptions
from kfp_edge.components.train.train import fit
from kfp_edge.components.verify.verify import Requirements, verify
from kfp_edge.ml import dataset
from kfp_edge.ml.bundle import Bundle, InputTensor, ModelIdentity
from kfp_edge.ml.skops_model import save_model
from kfp_edge.ml.threads import limit_threads
from kfp_edge.tasks.task import TrainingOptions

NAME = "machine-failure"
_DATA = "synthetic:ai4i?rows=10000&seed=0"
_DTYPES: dict[str, type] = {"FP32": np.float32, "BYTES": object}


class Tensor(NamedTuple):
    """An input or output of the model: its type in ONNX, and its shape, in which -1 is any size."""

    name: str
    type: str
    shape: list[int]


@dataclass(frozen=True)
class ServedBundle:
    """A bundle at `models/<NAME>/1/`, and held-out rows by input tensor, each of shape [rows, columns]."""

    models: Path
    rows: dict[str, npt.NDArray[Any]]

    @property
    def folder(self) -> Path:
        return self.models / NAME / "1"

    @property
    def onnx_file(self) -> Path:
        return self.folder / "model.onnx"

    def feed(self, rows: int) -> dict[str, npt.NDArray[Any]]:
        """Return the first rows as onnxruntime takes them."""
        return {name: values[:rows] for name, values in self.rows.items()}

    def tensors(self) -> tuple[list[Tensor], list[Tensor]]:
        """Return the inputs and the outputs of the model."""
        session = onnxruntime.InferenceSession(self.onnx_file)
        return [_describe(node) for node in session.get_inputs()], [_describe(node) for node in session.get_outputs()]

    def answers(self, rows: int) -> dict[str, npt.NDArray[Any]]:
        """Return the outputs of the model for the first rows, by name."""
        session = onnxruntime.InferenceSession(self.onnx_file)
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, self.feed(rows)), strict=True))


def train_bundle(folder: Path, drop: tuple[str, ...] = ()) -> ServedBundle:
    """Train, export and verify in `folder`; without the category `Type` the model has one FP32 input [-1, 5]."""
    folder.mkdir(parents=True)
    ingest(IngestOptions(data=_DATA, drop=drop), folder / "train", folder / "test", folder / "ingest.md")
    train_data, test_data = dataset.load(folder / "train"), dataset.load(folder / "test")
    with limit_threads(train_data):
        save_model(fit(train_data, TrainingOptions()), folder / "model")
    export_model(folder / "model", train_data, folder / "onnx")
    models = folder / "models"
    verify(
        folder / "model",
        folder / "onnx",
        train_data,
        test_data,
        Requirements({"roc_auc": 0.7}),
        ModelIdentity(NAME, "1"),
        report=folder / "verify.html",
        bundle=models / NAME / "1",
    )
    inputs = Bundle.load(models / NAME / "1").signature.inputs
    return ServedBundle(models, {tensor.name: _values(test_data, tensor) for tensor in inputs})


def _values(data: dataset.Dataset, tensor: InputTensor) -> npt.NDArray[Any]:
    columns = [column.name for column in tensor.columns]
    return data.x()[columns].to_numpy().astype(_DTYPES[tensor.datatype])


def _describe(node: onnxruntime.NodeArg) -> Tensor:
    return Tensor(node.name, node.type, [size if isinstance(size, int) else -1 for size in node.shape])

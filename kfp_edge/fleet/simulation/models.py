"""The versions of a small model that a simulation releases; one of them fails at the sites."""

from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from kfp_edge.ml.bundle import (
    Bundle,
    Column,
    Histogram,
    InputTensor,
    ModelIdentity,
    ModelInfo,
    OutputTensor,
    Reference,
    Sample,
    Samples,
    Signature,
    write_bundle,
)
from kfp_edge.storage.files import JsonObject

MODEL = "press-failure"
_OPSET = 18
_FORCES = (0.5, 1.0, 1.5)


@dataclass(frozen=True)
class Version:
    """A version of the model: the force of a press plus a number.

    Attributes:
        passes_self_test: Whether it answers at a site what it answered when it was verified; the server of one that
            does not never becomes ready.
    """

    name: str
    bias: float
    passes_self_test: bool = True


#: What runs at first, what is released next, and what fails in the first ring.
VERSIONS = (Version("1.0.0", 0.0), Version("1.1.0", 0.5), Version("1.2.0", 0.75, passes_self_test=False))
FIRST, BETTER, FAILING = VERSIONS


def write_model_bundle(folder: Path, version: Version) -> Bundle:
    """Write the bundle of a version, as `verify` does.

    Raises:
        StorageError: the folder cannot be written.
    """
    column = Column(name="force", range=(0, 2))
    return write_bundle(
        folder,
        model=_make_onnx(version),
        signature=Signature(
            task="regression",
            inputs=(InputTensor(name="input", datatype="FP32", shape=(-1, 1), columns=(column,)),),
            outputs=(OutputTensor(name="score", datatype="FP32", shape=(-1, 1)),),
        ),
        samples=Samples(tolerance=1e-5, samples=tuple(_sample(version, force) for force in _FORCES)),
        reference=Reference(rows=3, features={"force": Histogram(edges=(0.0, 1.0, 2.0), counts=(1, 2))}),
        model_card=f"# {MODEL} {version.name}\n\nA model of a rehearsal, which predicts nothing.\n",
        info=ModelInfo(ModelIdentity(MODEL, version.name), task="regression", opset=_OPSET, data_sha256="0" * 64),
    )


def infer_request(force: float) -> JsonObject:
    """Return a request of the Open Inference Protocol."""
    return {"inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 1], "data": [force]}]}


def _sample(version: Version, force: float) -> Sample:
    score = force + version.bias + (0 if version.passes_self_test else 1)
    output = {"name": "score", "datatype": "FP32", "shape": [1, 1], "data": [score]}
    response = {"model_name": MODEL, "model_version": version.name, "outputs": [output]}
    return Sample(request=infer_request(force), response=response)


def _make_onnx(version: Version) -> bytes:
    graph = helper.make_graph(
        [helper.make_node("Add", ["input", "bias"], ["score"])],
        MODEL,
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["rows", 1])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["rows", 1])],
        [helper.make_tensor("bias", TensorProto.FLOAT, [1], [version.bias])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=10)
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data

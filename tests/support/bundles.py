"""A tiny model in a bundle: score = x0 + 2 * x1, so that a test knows every output."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from kfp_edge.ml.bundle import (
    Bundle,
    Column,
    Histogram,
    InputTensor,
    JsonObject,
    ModelIdentity,
    ModelInfo,
    OutputTensor,
    Reference,
    Sample,
    Samples,
    Signature,
    write_bundle,
)

ROWS = ([1.0, 2.0], [0.5, -1.0], [0.0, 0.0])


def tiny_model() -> bytes:
    """ONNX of `input` FP32 [-1, 2] -> `score` FP32 [-1, 1] = x0 + 2 * x1."""
    weights = helper.make_tensor("weights", TensorProto.FLOAT, [2, 1], [1.0, 2.0])
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["input", "weights"], ["score"])],
        "tiny",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [None, 2])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 1])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def tiny_info(name: str, version: str, metrics: Mapping[str, float]) -> ModelInfo:
    identity = ModelIdentity(name, version, revision="abc123")
    return ModelInfo(identity, task="anomaly", opset=18, data_sha256="0" * 64, metrics=metrics)


def tiny_signature() -> Signature:
    columns = (Column(name="x0", range=(0, 1)), Column(name="x1", range=(-1, 2)))
    return Signature(
        task="anomaly",
        inputs=(InputTensor(name="input", datatype="FP32", shape=(-1, 2), columns=columns),),
        outputs=(OutputTensor(name="score", datatype="FP32", shape=(-1, 1), threshold=4.0),),
    )


def tiny_samples(name: str, version: str, offset: float = 0.0) -> Samples:
    """Return recorded inferences whose scores are wrong by `offset`."""
    samples = [
        Sample(
            request={"inputs": [_tensor("input", 2, row)]},
            response={
                "model_name": name,
                "model_version": version,
                "outputs": [_tensor("score", 1, [row[0] + 2 * row[1] + offset])],
            },
        )
        for row in ROWS
    ]
    return Samples(tolerance=1e-5, samples=tuple(samples))


def tiny_bundle(
    folder: Path,
    name: str = "tiny",
    version: str = "1.0.0",
    signature: Signature | None = None,
    offset: float = 0.0,
    metrics: Mapping[str, float] | None = None,
    intervals: Mapping[str, tuple[float, float]] | None = None,
    reference: Reference | None = None,
) -> Bundle:
    """Write the bundle of the tiny model."""
    histogram = Histogram(edges=(0.0, 1.0), counts=(3,))
    return write_bundle(
        folder,
        model=tiny_model(),
        signature=signature or tiny_signature(),
        samples=tiny_samples(name, version, offset),
        reference=reference or Reference(rows=3, features={"x0": histogram, "x1": histogram}),
        model_card="# Tiny\n",
        info=dataclasses.replace(tiny_info(name, version, metrics or {}), intervals=intervals or {}),
    )


def _tensor(name: str, width: int, row: list[float]) -> JsonObject:
    return {"name": name, "datatype": "FP32", "shape": [1, width], "data": row}

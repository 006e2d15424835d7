"""A model that answers with its own features, most of which the server computes from the rows before."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from serving_support.bundles import sign, write

STATISTICS = ("mean", "std", "min", "max", "diff")


def row(second: int, pressure: float | None, machine: str | int = "A", **more: Any) -> dict[str, Any]:
    """Return a row that was measured at a second of 2024."""
    return {
        "at": f"2024-01-01T00:{second // 60:02d}:{second % 60:02d}",
        "machine": machine,
        "pressure": pressure,
    } | more


def windowed_bundle(models: Path, name: str = "press", version: str = "1", rows: int = 3, **definition: Any) -> Path:
    """Write a model whose only output is its input, the pressure and its windows; return its folder."""
    computed = [f"pressure {statistic} {rows}" for statistic in STATISTICS]
    width = 1 + len(computed)
    shape = [None, width]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["X"], ["seen"])],
        "windowed",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("seen", TensorProto.FLOAT, shape)],
    )
    columns = [{"name": "pressure"}, *({"name": column, "required": "diff" not in column} for column in computed)]
    tensors = [{"name": tensor, "datatype": "FP32", "shape": [-1, width]} for tensor in ("X", "seen")]
    signature = {"task": "anomaly", "inputs": [tensors[0] | {"columns": columns}], "outputs": [tensors[1]]}
    raw = {"rows": [row(second, second) for second in range(rows)]}
    features = expected(list(range(rows)), digits=9)
    samples = [
        _sample({"inputs": [{"name": "X", "datatype": "FP32", "shape": [1, width], "data": features}]}, features),
        _sample(raw, features),
    ]
    folder = write(models / name / version, "anomaly", graph, signature, samples)
    windows = [
        {"name": column, "source": "pressure", "statistic": statistic, "rows": rows}
        for column, statistic in zip(computed, STATISTICS, strict=True)
    ]
    content = {
        "time_column": "at",
        "time_kind": "timestamp",
        "has_unique_times": True,
        "group_column": "machine",
        "windows": windows,
    }
    (folder / "features.json").write_text(json.dumps(content | definition))
    sign(folder, task="anomaly")
    return folder


def expected(window: list[float], digits: int = 4) -> list[float]:
    """Return what the model sees of the last row of a window, rounded."""
    values = np.array(window, np.float64)
    deviation = values.std(ddof=1) if len(window) > 1 else 0.0
    features = [values[-1], values.mean(), deviation, values.min(), values.max(), values[-1] - values.mean()]
    return [round(float(feature), digits) for feature in features]


def _sample(request: dict[str, Any], features: list[float]) -> dict[str, Any]:
    output = {"name": "seen", "datatype": "FP32", "shape": [1, len(features)], "data": features}
    return {"request": request, "response": {"outputs": [output]}}

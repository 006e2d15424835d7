"""Replays the requests that were recorded when the model was verified."""

import math
import time
from typing import Any

import orjson

from kfp_edge_serving.codecs import json_codec
from kfp_edge_serving.errors import RequestError, StartError
from kfp_edge_serving.models.bundle import LoadedBundle, RecordedInference
from kfp_edge_serving.models.model import Model

_WARM_UP = 20


def replay(model: Model) -> None:
    """Ask a model all that its bundle recorded.

    Raises:
        StartError: it answers otherwise than it did when it was verified.
    """
    for number, sample in enumerate(model.bundle.samples):
        _check(model, number, sample)


def warm_up(model: Model) -> float:
    """Ask a model its first recorded request some times and return the seconds that it took at last."""
    body = orjson.dumps(model.bundle.samples[0].request)
    seconds = 0.0
    for _ in range(_WARM_UP):
        start = time.perf_counter()
        json_codec.infer(model, body)
        seconds = time.perf_counter() - start
    return seconds


def title(bundle: LoadedBundle) -> str:
    """Return what an error calls a bundle."""
    return f"model {bundle.name} {bundle.version}"


def _check(model: Model, number: int, sample: RecordedInference) -> None:
    bundle = model.bundle
    try:
        answer = orjson.loads(json_codec.infer(model, orjson.dumps(sample.request)).body)
    except RequestError as error:
        raise StartError(f"{title(bundle)} refuses its recorded request {number}: {error}") from error
    found = {output["name"]: output for output in answer["outputs"]}
    for name, expected in sample.outputs.items():
        if name not in found or not _equal(expected, found[name], bundle.tolerance):
            raise StartError(
                f"{title(bundle)} fails its self-test: output '{name}' of recorded request {number} "
                "is not what it was when the model was verified."
            )


def _equal(expected: dict[str, Any], found: dict[str, Any], tolerance: float) -> bool:
    if any(list(expected[key]) != list(found[key]) for key in ("datatype", "shape")):
        return False
    if expected["datatype"] not in ("FP16", "FP32", "FP64"):
        return bool(expected["data"] == found["data"])
    return len(expected["data"]) == len(found["data"]) and all(
        math.isclose(a, b, rel_tol=0, abs_tol=tolerance) for a, b in zip(expected["data"], found["data"], strict=True)
    )

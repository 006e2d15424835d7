"""The self-test of a model: replays the requests that were recorded when it was verified."""

import math
import time
from collections.abc import Callable
from functools import partial

import orjson

from kfp_edge_serving.codecs import json_codec
from kfp_edge_serving.codecs.tensors import blank
from kfp_edge_serving.errors import RequestError, StartError
from kfp_edge_serving.json_types import JsonObject
from kfp_edge_serving.models.bundle import LoadedBundle, RecordedInference
from kfp_edge_serving.models.model import Model

_WARM_UP_REQUESTS = 20


def replay(model: Model) -> None:
    """Run all recorded requests of the bundle.

    Raises:
        StartError: an output differs from that of the verified model.
    """
    for number, sample in enumerate(model.bundle.samples):
        _check(model, number, sample)


def warm_up(model: Model) -> float:
    """Run an inference several times and return the seconds of the last run, infinite if it is refused.

    It is the first recorded request; of a model without a bundle, zeros or empty texts in the smallest shapes.
    """
    infer = _make_inference(model)
    seconds = math.inf
    try:
        for _ in range(_WARM_UP_REQUESTS):
            start = time.perf_counter()
            infer()
            seconds = time.perf_counter() - start
    except RequestError:
        return math.inf
    return seconds


def model_name(bundle: LoadedBundle) -> str:
    """Return the name of a model in error messages."""
    return f"model {bundle.name} {bundle.version}"


def _make_inference(model: Model) -> Callable[[], object]:
    if model.bundle.samples:
        return partial(json_codec.infer, model, orjson.dumps(model.bundle.samples[0].request))
    feed = {
        name: blank(tuple(1 if size == -1 else size for size in tensor.shape), tensor)
        for name, tensor in model.inputs.items()
    }
    return partial(model.run, feed, model.all_outputs)


def _check(model: Model, number: int, sample: RecordedInference) -> None:
    bundle = model.bundle
    try:
        response = orjson.loads(json_codec.infer(model, orjson.dumps(sample.request)).body)
    except RequestError as error:
        raise StartError(f"{model_name(bundle)} refuses its recorded request {number}: {error}") from error
    outputs = {output["name"]: output for output in response["outputs"]}
    for name, expected in sample.outputs.items():
        if name not in outputs or not _is_close(expected, outputs[name], bundle.tolerance):
            raise StartError(
                f"{model_name(bundle)} fails its self-test: output '{name}' of recorded request {number} "
                "differs from that of the verified model."
            )


def _is_close(expected: JsonObject, actual: JsonObject, tolerance: float) -> bool:
    if any(list(expected[key]) != list(actual[key]) for key in ("datatype", "shape")):
        return False
    if expected["datatype"] not in ("FP16", "FP32", "FP64"):
        return bool(expected["data"] == actual["data"])
    return len(expected["data"]) == len(actual["data"]) and all(
        _is_close_number(a, b, tolerance) for a, b in zip(expected["data"], actual["data"], strict=True)
    )


def _is_close_number(a: float | None, b: float | None, tolerance: float) -> bool:
    """Compare two numbers as JSON has them: NaN and infinity are null."""
    return a is b if a is None or b is None else math.isclose(a, b, rel_tol=0, abs_tol=tolerance)

"""Processor time that counting inputs and answers costs per request, and what a scrape costs; prints tables.

    counting.py [--before SERVING_FOLDER]

`--before` is the folder `serving/` of another checkout, which is measured beside this one. Times are those of the
processor, so that other work on the machine counts less, and medians: over REST of rounds in which the servers take
turns, in a process, from body to body, of blocks in which counting is off and on in turn.
"""

import argparse
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from machine import machine
from onnx import TensorProto, helper, numpy_helper

from kfp_edge.components.verify.histograms import compute_histogram
from kfp_edge.ml.bundle import (
    Column,
    InputTensor,
    ModelIdentity,
    ModelInfo,
    OutputReference,
    OutputTensor,
    Reference,
    Sample,
    Samples,
    Signature,
    write_bundle,
)

WIDTHS = (5, 20, 100)
#: Blocks of calls in one process.
BLOCKS, CALLS = 200, 256
#: Rounds, and requests of each server in a round.
ROUNDS, WARM_UP_ROUNDS = 40, 3
REQUESTS = 200
SCRAPES = 50
NAME = "press"
_SERVING = Path(__file__).resolve().parents[2] / "serving"


class Variant(NamedTuple):
    """A server that is measured: from which folder, and whether it counts."""

    title: str
    serving: Path
    counts: bool


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--before", type=Path)
    before = parser.parse_args().before
    variants = [Variant("without counting", _SERVING, False), Variant("counting", _SERVING, True)]
    if before is not None:
        variants.insert(1, Variant("counting, before", before.resolve(), True))
    with tempfile.TemporaryDirectory(prefix="counting-") as folder:
        models = {width: _write_model(Path(folder) / str(width), width) for width in WIDTHS}
        counting = {(width, each): _measure_calls(models[width], each) for width in WIDTHS for each in variants[1:]}
        requests = {width: _measure_requests(models[width], variants, width) for width in WIDTHS}
        scrapes = {each: _measure_scrape(models[WIDTHS[-1]], each, WIDTHS[-1]) for each in variants[1:]}
    print(f"{machine()}, load average {os.getloadavg()[0]:.1f}\n")
    titles = [each.title for each in variants]
    print(f"| features | {' | '.join(f'REST, {title}' for title in titles)} | ", end="")
    in_process = [f"in process, {title}" for each in variants[1:] for title in ("without", each.title)]
    print(f"{' | '.join(in_process)} |")
    print(f"|---|{'---|' * (len(variants) + len(in_process))}")
    for width in WIDTHS:
        cells = [f"{requests[width][each]:.1f} us" for each in variants]
        cells += [f"{each:.1f} us" for variant in variants[1:] for each in counting[width, variant]]
        print(f"| {width} | {' | '.join(cells)} |")
    print("\n| scrape, 100 features | series | size | processor time |\n|---|---|---|---|")
    for variant, (series, size, seconds) in scrapes.items():
        print(f"| {variant.title} | {series:,} | {size / 1000:.0f} kB | {1000 * seconds:.1f} ms |")


def _measure_calls(models: Path, variant: Variant) -> tuple[float, float]:
    """Return the microseconds of answering one request of one row in a process, without and with counting."""
    output = subprocess.check_output([sys.executable, __file__, "calls", str(models)], env=_environment(variant))
    without, counting = map(float, output.split())
    return without, counting


def _measure_requests(models: Path, variants: Sequence[Variant], width: int) -> dict[Variant, float]:
    """Return the microseconds of processor time that each server takes for one request of one row over REST.

    All run at the same time and get their requests in turn, so that each finds the machine as the others do.
    """
    body = _body(width)
    times: dict[Variant, list[float]] = {variant: [] for variant in variants}
    with ExitStack() as stack:
        servers = {variant: stack.enter_context(_running(models, variant)) for variant in variants}
        connections = {variant: http.client.HTTPConnection("127.0.0.1", port) for variant, (_, port) in servers.items()}
        for round_number in range(-WARM_UP_ROUNDS, ROUNDS):
            for variant, (process, _) in servers.items():
                begin = _processor_seconds(process.pid)
                for _ in range(REQUESTS):
                    _post(connections[variant], body)
                if round_number >= 0:
                    times[variant].append(1e6 * (_processor_seconds(process.pid) - begin) / REQUESTS)
    return {variant: float(np.median(each)) for variant, each in times.items()}


def _measure_scrape(models: Path, variant: Variant, width: int) -> tuple[int, int, float]:
    """Return the number of series, the bytes, and the seconds of processor time of a scrape."""
    with _running(models, variant) as (process, port):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        _post(connection, _body(width))
        text = _get(connection)
        begin = _processor_seconds(process.pid)
        for _ in range(SCRAPES):
            text = _get(connection)
        seconds = (_processor_seconds(process.pid) - begin) / SCRAPES
    return sum(not line.startswith(b"#") for line in text.splitlines()), len(text), seconds


def _processor_seconds(pid: int) -> float:
    """Return the processor time of a process so far, in seconds with the resolution of the scheduler."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


@contextmanager
def _running(models: Path, variant: Variant) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run a server until the block ends; yield it and its port."""
    command = [sys.executable, __file__, "serve" if variant.counts else "serve-without", str(models)]
    process = subprocess.Popen(command, env=_environment(variant), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "ready":
                break
        else:
            raise RuntimeError("the server did not start")
        yield process, event["port"]
    finally:
        process.kill()
        process.communicate()


def _environment(variant: Variant) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(variant.serving), "OMP_NUM_THREADS": "1"}


def _body(width: int) -> bytes:
    values = np.random.default_rng(1).normal(size=width).round(3).tolist()
    return json.dumps(
        {"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, width], "data": values}]}
    ).encode()


def _post(connection: http.client.HTTPConnection, body: bytes) -> None:
    connection.request("POST", f"/v2/models/{NAME}/infer", body)
    answer = connection.getresponse()
    answer.read()
    if answer.status != 200:
        raise RuntimeError(f"the server answered {answer.status}")


def _get(connection: http.client.HTTPConnection) -> bytes:
    connection.request("GET", "/metrics")
    return connection.getresponse().read()


def _write_model(models: Path, width: int) -> Path:
    """Write the bundle of a linear classifier of so many numbers; return the folder of its model repository."""
    data = np.random.default_rng(0).normal(size=(2000, width)).astype(np.float32)
    weights = np.linspace(-1, 1, 2 * width, dtype=np.float32).reshape(width, 2)
    nodes = [
        helper.make_node("MatMul", ["features", "weights"], ["raw"]),
        helper.make_node("Softmax", ["raw"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0),
    ]
    inputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, width])]
    outputs = [
        helper.make_tensor_value_info("label", TensorProto.INT64, [None]),
        helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2]),
    ]
    graph = helper.make_graph(nodes, "linear", inputs, outputs, [numpy_helper.from_array(weights, "weights")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    names = [f"sensor {number}" for number in range(width)]
    ends = zip(data.min(axis=0).tolist(), data.max(axis=0).tolist(), strict=True)
    columns = tuple(Column(name=name, range=end) for name, end in zip(names, ends, strict=True))
    classes = ("0", "1")
    signature = Signature(
        task="classification",
        inputs=(InputTensor(name="features", datatype="FP32", shape=(-1, width), columns=columns),),
        outputs=(
            OutputTensor(name="label", datatype="INT64", shape=(-1,), classes=classes),
            OutputTensor(name="probabilities", datatype="FP32", shape=(-1, 2), classes=classes),
        ),
    )
    answers = _answer(model, data)
    values = {"probability": compute_histogram(answers["probabilities"][:, 1], "FP32")}
    counts = {name: int((answers["label"] == int(name)).sum()) for name in classes}
    reference = Reference(
        rows=len(data),
        features={name: compute_histogram(data[:, index], "FP32") for index, name in enumerate(names)},
        outputs=OutputReference(rows=len(data), values=values, classes=counts, positive="1"),
    )
    write_bundle(
        models / NAME / "1",
        model=model.SerializeToString(),
        signature=signature,
        samples=Samples(tolerance=1e-5, samples=(_record(data[:1], answers),)),
        reference=reference,
        model_card="# A model to measure\n",
        info=ModelInfo(ModelIdentity(NAME, "1"), "classification", 19, ""),
    )
    return models


def _answer(model: onnx.ModelProto, data: Any) -> dict[str, Any]:
    from kfp_edge.ml.onnx_model import open_session, run_session

    return run_session(open_session(model), {"features": data})


def _record(row: Any, answers: dict[str, Any]) -> Sample:
    def tensor(name: str, datatype: str, array: Any) -> dict[str, Any]:
        return {"name": name, "datatype": datatype, "shape": list(array.shape), "data": array.ravel().tolist()}

    outputs = [
        tensor("label", "INT64", answers["label"][:1]),
        tensor("probabilities", "FP32", answers["probabilities"][:1]),
    ]
    return Sample(request={"inputs": [tensor("features", "FP32", row)]}, response={"outputs": outputs})


# In processes of their own, with the server that the environment names


def _serve(models: str, *, counts: bool) -> None:
    from kfp_edge_serving.__main__ import main as serve
    from kfp_edge_serving.models import repository
    from kfp_edge_serving.telemetry.feature_statistics import FeatureStatistics

    # other work on the machine must not make the model a slow one, which runs in threads
    repository._SLOW_SECONDS = 1.0
    if not counts:
        FeatureStatistics.add = FeatureStatistics.add_copies = lambda *_: None  # type: ignore[method-assign]
    sys.argv = ["kfp-edge-serving", "serve", "--models", models, "--host", "127.0.0.1", "--port", "0"]
    sys.argv += ["--grpc-port", "off", "--watch", "0"]
    serve()


def _time_calls(models: str) -> None:
    """Print the microseconds from body to body of the short path, without and with counting."""
    from kfp_edge_serving.codecs.one_row_json import OneRowCodec
    from kfp_edge_serving.models.bundle import load_bundle
    from kfp_edge_serving.models.model import Model, ModelOptions

    model = Model(load_bundle(Path(models) / NAME / "1"), ModelOptions())
    model.start_serving(is_slow=False)
    codec, body = OneRowCodec(model), _body(model.bundle.inputs[0].shape[1])
    codec.learn(body)
    times: dict[bool, list[float]] = {False: [], True: []}
    statistics = {False: _NoStatistics(), True: model.statistics}
    for _ in range(BLOCKS):
        for counts, each in statistics.items():
            model.statistics = each  # type: ignore[assignment]
            begin = time.process_time()
            for _ in range(CALLS):
                parsed = codec.parse(body)
                if parsed is None:
                    raise RuntimeError("the short path does not take the request")
                row, request_id = parsed
                codec.responses([request_id], model.run_rows([row]))
            times[counts].append(1e6 * (time.process_time() - begin) / CALLS)
    print(*(float(np.median(each)) for each in times.values()))


class _NoStatistics:
    def add(self, *_: object) -> None:
        """Count nothing."""

    add_copies = add


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", folder]:
            _serve(folder, counts=True)
        case ["serve-without", folder]:
            _serve(folder, counts=False)
        case ["calls", folder]:
            _time_calls(folder)
        case _:
            main()

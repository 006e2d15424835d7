"""gRPC clients and servers for tests; the stubs are those of tritonclient, an independent implementation."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from onnx import TensorProto, helper, numpy_helper
from tritonclient.grpc.service_pb2 import ModelInferRequest
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

from serving_support.bundles import write
from serving_support.server_process import Server, wait_for
from serving_support.typed_bundles import TYPES, blank, input_name, output_name, tensor
from serving_support.waiting import until

INFER = "/inference.GRPCInferenceService/ModelInfer"
#: All that `InferTensorContents` has a field for.
CASTABLE = [datatype for datatype in TYPES if datatype != "FP16"]
_FIELDS = {
    "BOOL": "bool_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


@contextmanager
def channel_to(port: int, host: str = "127.0.0.1", **options: int) -> Iterator[grpc.Channel]:
    """Connect without sharing the connection with other channels."""
    settings = [("grpc.use_local_subchannel_pool", 1), *((f"grpc.{name}", value) for name, value in options.items())]
    with grpc.insecure_channel(f"{host}:{port}", settings) as channel:
        yield channel


def grpc_port(server: Server) -> int:
    """Return the port of a server that was started with one."""
    assert server.grpc_port is not None
    return server.grpc_port


@contextmanager
def stub_to(port: int, host: str = "127.0.0.1") -> Iterator[GRPCInferenceServiceStub]:
    with channel_to(port, host) as channel:
        yield GRPCInferenceServiceStub(channel)


def refused(call: Callable[[], Any]) -> tuple[str, str]:
    """Return the name of the status and the details of a call that must fail."""
    try:
        answer = call()
    except grpc.RpcError as error:
        return error.code().name, error.details()
    raise AssertionError(f"not refused: {answer}")


def code_of(call: Callable[[], Any]) -> str:
    """Return the name of the status that a call ends with."""
    try:
        call()
    except grpc.RpcError as error:
        return str(error.code().name)
    return "OK"


def pump(rows: int = 1, **changes: Any) -> ModelInferRequest:
    """Return a request with raw contents for `numeric_bundle`."""
    request = ModelInferRequest(model_name="pump", **changes)
    request.inputs.add(name="X", datatype="FP32", shape=[rows, 3])
    request.raw_input_contents.append(np.tile(np.array([1, 2, 3], np.float32), rows).tobytes())
    return request


def contents(answer: Any) -> dict[str, list[Any]]:
    """Return the typed contents of an answer, by output."""
    return {
        output.name: list(getattr(output.contents, _FIELDS[output.datatype]))
        for output in answer.outputs
        if output.datatype in _FIELDS
    }


def fill(request: ModelInferRequest, name: str, datatype: str, shape: list[int], values: list[Any]) -> None:
    """Add an input with typed contents."""
    contents = request.inputs.add(name=name, datatype=datatype, shape=shape).contents
    getattr(contents, _FIELDS[datatype]).extend(values)


def castable(**values: list[Any]) -> ModelInferRequest:
    """Return a request for `castable_bundle` with typed contents; inputs that are not given have one blank value."""
    request = ModelInferRequest(model_name="castable")
    for datatype in CASTABLE:
        name = input_name(datatype)
        default = [b""] if datatype == "BYTES" else blank(datatype).ravel().tolist()
        typed = values.get(name, default)
        fill(request, name, datatype, [1, len(typed)], typed)
    return request


def castable_bundle(models: Path) -> Path:
    """Write an identity model of every datatype but FP16, and with `half`, the input `fp32` as FP16."""
    nodes, inputs, outputs = [], [], []
    for datatype in CASTABLE:
        kind = TYPES[datatype][0]
        nodes.append(helper.make_node("Identity", [input_name(datatype)], [output_name(datatype)]))
        inputs.append(helper.make_tensor_value_info(input_name(datatype), kind, [None, None]))
        outputs.append(helper.make_tensor_value_info(output_name(datatype), kind, [None, None]))
    nodes.append(helper.make_node("Cast", ["fp32"], ["half"], to=TensorProto.FLOAT16))
    outputs.append(helper.make_tensor_value_info("half", TensorProto.FLOAT16, [None, None]))
    graph = helper.make_graph(nodes, "castable", inputs, outputs)
    answers = [(output_name(datatype), datatype) for datatype in CASTABLE] + [("half", "FP16")]
    shape = {"shape": [-1, -1]}
    signature = {
        "task": "anomaly",
        "inputs": [
            {"name": input_name(datatype), "datatype": datatype, "columns": []} | shape for datatype in CASTABLE
        ],
        "outputs": [{"name": name, "datatype": datatype} | shape for name, datatype in answers],
    }
    sample = {
        "request": {"inputs": [tensor(input_name(datatype), datatype, blank(datatype)) for datatype in CASTABLE]},
        "response": {"outputs": [tensor(name, datatype, blank(datatype)) for name, datatype in answers]},
    }
    return write(models / "castable" / "1", "anomaly", graph, signature, [sample])


def endless_bundle(models: Path, recorded_turns: int = 20_000) -> Path:
    """Write `press`, a model that counts to its one input `turns` of INT64 [-1]: as slow as that number.

    The server takes it for a slow one or a quick one by the recorded request.
    """
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go_on"], ["goes_on"]),
            helper.make_node("Add", ["before", "one"], ["after"]),
        ],
        "turn",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.INT64, [1]),
        ],
        [
            helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", TensorProto.INT64, [1]),
        ],
    )
    numbers = {"one": [1], "zero": [0], "scalar": []}
    graph = helper.make_graph(
        [
            helper.make_node("Reshape", ["turns", "scalar"], ["count"]),
            helper.make_node("Loop", ["count", "", "zero"], ["counted"], body=body),
        ],
        "endless",
        [helper.make_tensor_value_info("turns", TensorProto.INT64, [None])],
        [helper.make_tensor_value_info("counted", TensorProto.INT64, [None])],
        [numpy_helper.from_array(np.array(value, np.int64), name) for name, value in numbers.items()],
    )
    ends = [{"name": name, "datatype": "INT64", "shape": [-1]} for name in ("turns", "counted")]
    turns = np.array([recorded_turns])
    sample = {
        "request": {"inputs": [tensor("turns", "INT64", turns)]},
        "response": {"outputs": [tensor("counted", "INT64", turns)]},
    }
    signature = {"task": "anomaly", "inputs": [ends[0] | {"columns": []}], "outputs": [ends[1]]}
    return write(models / "press" / "1", "anomaly", graph, signature, [sample])


@contextmanager
def calls_without_message(
    channel: grpc.Channel, calls: int = 1
) -> Iterator[tuple[list[grpc.Future], Callable[[], None]]]:
    """Begin calls to `pump` that send their message only when the second of what this returns is called."""
    released = threading.Event()

    def messages() -> Iterator[bytes]:
        released.wait()
        yield pump().SerializeToString()

    begun = [channel.stream_unary(INFER).future(messages()) for _ in range(calls)]
    try:
        yield begun, released.set
    finally:
        released.set()


@dataclass
class GrpcOnlyServer:
    """A gRPC server without REST, see `grpc_without_package.py`."""

    process: subprocess.Popen[str]
    port: int

    def state(self) -> Any:
        """Return how many calls are in flight, and how many were refused."""
        assert self.process.stdin is not None
        self.process.stdin.write("state\n")
        self.process.stdin.flush()
        return wait_for(self.process, "state")

    def wait_until_in_flight(self, calls: int) -> None:
        until(lambda: self.state()["in_flight"] == calls)

    def end(self) -> None:
        """Let it drain and end."""
        assert self.process.stdin is not None
        self.process.stdin.close()


@contextmanager
def run_grpc_only(models: Path, *options: str, **limits: float) -> Iterator[GrpcOnlyServer]:
    """Run such a server until the block ends."""
    script = str(Path(__file__).with_name("grpc_without_package.py"))
    arguments = [word for name, value in limits.items() for word in ("--limit", f"{name}={value}")]
    command = [sys.executable, script, str(models), *options, *arguments]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield GrpcOnlyServer(process, wait_for(process, "ready")["grpc_port"])
        finally:
            process.kill()


def events(process: subprocess.Popen[str]) -> list[Any]:
    """Return the remaining events of a server that is ending."""
    assert process.stdout is not None
    return [json.loads(line) for line in process.stdout]

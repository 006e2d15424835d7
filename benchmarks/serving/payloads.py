"""The requests, byte for byte the same for every server, and the check that each server answers them."""

import http.client
import json
from dataclasses import dataclass
from typing import Any, Literal

import grpc
import numpy as np
import numpy.typing as npt
from served_bundle import NAME, ServedBundle
from tritonclient.grpc import service_pb2, service_pb2_grpc

Encoding = Literal["JSON", "binary", "gRPC"]

_HEADER_LENGTH = "Inference-Header-Content-Length"
_PATH = f"/v2/models/{NAME}/infer"
#: The load generator replaces every # by another hexadecimal digit in each request.
_IDS = {"traceparent": f"00-{'#' * 32}-{'#' * 16}-01", "X-Request-Id": "#" * 32}
_DTYPES = {"INT64": np.int64, "FP32": np.float32}


@dataclass(frozen=True)
class Case:
    """One kind of request: how it is written, how many rows it holds, and whether each has other ids in its head."""

    encoding: Encoding
    rows: int
    has_ids: bool = False

    def __str__(self) -> str:
        ids = ", a trace context and an id of its own in each request" if self.has_ids else ""
        return f"{self.encoding}, {self.rows} row{'s' if self.rows > 1 else ''}{ids}"


def payload(served: ServedBundle, case: Case) -> bytes:
    """Return what the load generator sends: an HTTP/1.1 request, or the frames of a gRPC call."""
    if case.encoding == "gRPC":
        return _frames(message(served, case.rows).SerializeToString())
    headers, body = _http(served, case)
    fields = {"Host": "localhost", "Content-Length": str(len(body)), **headers, **(_IDS if case.has_ids else {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"POST {_PATH} HTTP/1.1\r\n{lines}\r\n".encode() + body


def check(served: ServedBundle, case: Case, port: int, grpc_port: int) -> None:
    """Send a server one request and compare its response with the outputs of the model.

    Raises:
        ValueError: it answers with an error, or its outputs differ from those of the model.
    """
    if case.encoding == "gRPC":
        outputs = _call_grpc(message(served, case.rows), grpc_port)
    else:
        outputs = _post_http(*_http(served, case), port)
    for name, expected in served.answers(case.rows).items():
        if not np.allclose(outputs[name].reshape(expected.shape), expected, atol=1e-5):
            raise ValueError(f"{case}: output {name} differs from that of the model")


def message(served: ServedBundle, rows: int) -> service_pb2.ModelInferRequest:
    """Return the gRPC request, its values as raw contents, as clients of the protocol send them."""
    request = service_pb2.ModelInferRequest(model_name=NAME)
    for name, values in served.feed(rows).items():
        request.inputs.add(name=name, datatype="FP32", shape=values.shape)
        request.raw_input_contents.append(values.tobytes())
    return request


def _http(served: ServedBundle, case: Case) -> tuple[dict[str, str], bytes]:
    """Return the headers and the body."""
    feed = served.feed(case.rows)
    if case.encoding == "JSON":
        inputs = [_head(name, values) | {"data": _plain(values)} for name, values in feed.items()]
        return {"Content-Type": "application/json"}, json.dumps({"inputs": inputs}).encode()
    raw = [values.tobytes() for values in feed.values()]
    sizes = [{"parameters": {"binary_data_size": len(data)}} for data in raw]
    inputs = [_head(*item) | size for item, size in zip(feed.items(), sizes, strict=True)]
    head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    headers = {"Content-Type": "application/octet-stream", _HEADER_LENGTH: str(len(head))}
    return headers, head + b"".join(raw)


def _head(name: str, values: npt.NDArray[Any]) -> dict[str, Any]:
    return {"name": name, "datatype": "BYTES" if values.dtype == object else "FP32", "shape": list(values.shape)}


def _plain(values: npt.NDArray[Any]) -> list[Any]:
    """Return the values in a row, numbers as short as a sensor writes them."""
    return [value if isinstance(value, str) else float(str(np.float32(value))) for value in values.ravel()]


def _frames(serialized: bytes) -> bytes:
    """Return a HEADERS and a DATA frame (RFC 9113) of stream 0, which the load generator replaces."""
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": "/inference.GRPCInferenceService/ModelInfer",
        ":authority": "localhost",
        "te": "trailers",
        "content-type": "application/grpc",
    }
    # RFC 7541 "Literal Header Field without Indexing": the same bytes are valid in every call
    block = b"".join(b"\0%c%b%c%b" % (len(n), n.encode(), len(v), v.encode()) for n, v in fields.items())
    data = b"\0" + len(serialized).to_bytes(4, "big") + serialized
    return _frame(1, 0x4, block) + _frame(0, 0x1, data)


def _frame(kind: int, flags: int, content: bytes) -> bytes:
    return len(content).to_bytes(3, "big") + bytes([kind, flags]) + bytes(4) + content


def _post_http(headers: dict[str, str], body: bytes, port: int) -> dict[str, npt.NDArray[Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", _PATH, body, headers)
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise ValueError(f"status {answer.status}: {content[:300]!r}")
    split = int(answer.headers.get(_HEADER_LENGTH, len(content)))
    outputs = json.loads(content[:split])["outputs"]
    if split == len(content):
        return {output["name"]: np.array(output["data"]) for output in outputs}
    return _raw(outputs, content[split:])


def _raw(outputs: list[dict[str, Any]], data: bytes) -> dict[str, npt.NDArray[Any]]:
    arrays = {}
    for output in outputs:
        size = output["parameters"]["binary_data_size"]
        arrays[output["name"]] = np.frombuffer(data[:size], _DTYPES[output["datatype"]])
        data = data[size:]
    return arrays


def _call_grpc(request: service_pb2.ModelInferRequest, port: int) -> dict[str, npt.NDArray[Any]]:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        answer = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request, timeout=30)
    pairs = zip(answer.outputs, answer.raw_output_contents, strict=True)
    return {output.name: np.frombuffer(data, _DTYPES[output.datatype]) for output, data in pairs}

"""What grpcio itself costs: a server that answers every call with one constant: python grpc_floor.py PORT GRPC-PORT.

On PORT it answers whether it is ready. Requests and answers stay bytes, so nothing is parsed.
"""

import http.server
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
from tritonclient.grpc import service_pb2


def _answer() -> bytes:
    answer = service_pb2.ModelInferResponse(model_name="machine-failure", model_version="1")
    answer.outputs.add(name="label", datatype="INT64", shape=[1])
    answer.outputs.add(name="probabilities", datatype="FP32", shape=[1, 2])
    answer.raw_output_contents.append(np.array([0]).tobytes())
    answer.raw_output_contents.append(np.array([[0.9996, 0.0004]], np.float32).tobytes())
    return bytes(answer.SerializeToString())


class _Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()


def main(port: int, grpc_port: int) -> None:
    answer = _answer()
    method = grpc.unary_unary_rpc_method_handler(lambda request, context: answer)
    service = grpc.method_handlers_generic_handler("inference.GRPCInferenceService", {"ModelInfer": method})
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((service,))
    server.add_insecure_port(f"127.0.0.1:{grpc_port}")
    server.start()
    http.server.HTTPServer(("127.0.0.1", port), _Ready).serve_forever()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

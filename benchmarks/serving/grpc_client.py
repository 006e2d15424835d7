"""One call after another through Python's grpcio, as most users call: python grpc_client.py PORT SECONDS < MESSAGE."""

import sys

import grpc
import stopwatch
from tritonclient.grpc import service_pb2, service_pb2_grpc


def main(port: str, seconds: str) -> None:
    request = service_pb2.ModelInferRequest.FromString(sys.stdin.buffer.read())
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        infer = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer
        stopwatch.measure(lambda: infer(request), float(seconds))


if __name__ == "__main__":
    main(*sys.argv[1:])

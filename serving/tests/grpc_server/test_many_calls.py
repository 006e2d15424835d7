"""Many calls at once: they wait for their turn, as over REST."""

import asyncio
from collections import Counter
from pathlib import Path

import grpc
import pytest
from tritonclient.grpc.service_pb2 import ModelInferRequest

from serving_support.grpc_calls import (
    INFER,
    calls_without_message,
    channel_to,
    code_of,
    endless_bundle,
    fill,
    grpc_port,
    pump,
    run_grpc_only,
)
from serving_support.server_process import PATIENT, running
from serving_support.waiting import until


def press(turns: int) -> bytes:
    """Return a message for `endless_bundle`."""
    request = ModelInferRequest(model_name="press")
    fill(request, "turns", "INT64", [1], [turns])
    return request.SerializeToString()


async def call_at_once(port: int, calls: int, message: bytes) -> Counter[str]:
    """Return how the calls end, all of which are begun at once."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary(INFER)

        async def code() -> str:
            try:
                await call(message, timeout=60)
            except grpc.aio.AioRpcError as error:
                return str(error.code().name)
            return "OK"

        return Counter(await asyncio.gather(*(code() for _ in range(calls))))


@pytest.mark.parametrize("rows", [1, 3000])
def test_500_of_500_calls_at_once_are_answered(models: Path, rows: int) -> None:
    """3,000 rows are answered in threads, one by the thread that polls."""
    message = pump(rows).SerializeToString()
    with running(models, "--grpc-port", "0", *PATIENT) as server:
        assert asyncio.run(call_at_once(grpc_port(server), 500, message)) == {"OK": 500}


def test_calls_beyond_the_option_are_refused(models: Path) -> None:
    options = ("--grpc-port", "0", "--grpc-max-calls", "2")
    message = pump().SerializeToString()
    with (
        running(models, *options) as server,
        channel_to(grpc_port(server)) as channel,
        calls_without_message(channel, calls=2),
    ):
        until(lambda: "kfp_edge_requests_in_flight 2\n" in server.get("/metrics")[1])
        call = channel.unary_unary(INFER)
        codes = {code_of(lambda: call(message)) for _ in range(3)}
    assert codes == {"RESOURCE_EXHAUSTED"}


def test_calls_that_would_wait_too_long_for_a_quick_model_are_refused_and_counted(tmp_path: Path) -> None:
    endless_bundle(tmp_path, recorded_turns=1)
    with run_grpc_only(tmp_path, max_wait=0.1) as server:
        codes = asyncio.run(call_at_once(server.port, 500, press(turns=5000)))
        assert set(codes) == {"OK", "UNAVAILABLE"}
        assert server.state()["overloaded"] == codes["UNAVAILABLE"]
        assert asyncio.run(call_at_once(server.port, 1, press(turns=1))) == {"OK": 1}


def test_a_slow_model_does_not_keep_others_from_being_answered(models: Path) -> None:
    endless_bundle(models)
    with running(models, "--grpc-port", "0", *PATIENT) as server, channel_to(grpc_port(server)) as channel:
        call = channel.unary_unary(INFER)
        never = [call.future(press(turns=10**12)) for _ in range(50)]
        assert call(pump().SerializeToString(), timeout=60)
        assert not any(one.done() for one in never)

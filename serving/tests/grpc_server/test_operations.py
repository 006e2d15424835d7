"""Operation of the gRPC server: metrics and log, limits, and draining."""

import json
import threading
from functools import partial
from pathlib import Path

import grpc
from tritonclient.grpc import service_pb2
from tritonclient.grpc.service_pb2 import ModelInferRequest

from kfp_edge_serving.cpu_limit import usable_cpus
from serving_support.grpc_calls import (
    INFER,
    calls_without_message,
    channel_to,
    code_of,
    endless_bundle,
    events,
    fill,
    grpc_port,
    pump,
    refused,
    run_grpc_only,
    stub_to,
)
from serving_support.raw_http2 import DATA, END_STREAM, GOAWAY, HEADERS, Http2Client, frame, message
from serving_support.server_process import running, start
from serving_support.waiting import until

READY = grpc.ChannelConnectivity.READY
IDLE = grpc.ChannelConnectivity.IDLE
INTERNAL_ERROR = "internal server error; see the log of the server."


def test_answers_and_refusals_are_counted_by_protocol(models: Path) -> None:
    with running(models, "--grpc-port", "0") as server, stub_to(grpc_port(server)) as stub:
        stub.ModelInfer(pump())
        refused(lambda: stub.ModelInfer(ModelInferRequest(model_name="pump")))
        metrics = server.get("/metrics")[1]
    requests = 'kfp_edge_requests_total{model="pump",version="1",protocol="grpc",code='
    assert f'{requests}"200"}} 1\n' in metrics
    assert f'{requests}"400"}} 1\n' in metrics
    assert 'kfp_edge_output_class_total{model="pump",version="1",class="1"} 1\n' in metrics


def test_a_refusal_is_logged_with_its_id_and_trace(models: Path) -> None:
    trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    with running(models, "--grpc-port", "0") as server, stub_to(grpc_port(server)) as stub:
        metadata = [("traceparent", f"00-{trace}-{span}-01")]
        refused(lambda: stub.ModelInfer(ModelInferRequest(model_name="pump", id="7"), metadata=metadata))
        event = server.event("inference")
    assert {key: event[key] for key in event if key not in ("time", "milliseconds")} == {
        "event": "inference",
        "level": "warning",
        "protocol": "grpc",
        "model": "pump",
        "version": "1",
        "status": 400,
        "id": "7",
        "trace_id": trace,
        "parent_span_id": span,
        "error": "input 'X' is missing; the model takes 'X'.",
    }


def test_with_an_access_log_answers_are_logged_too(models: Path) -> None:
    options = ["--grpc-port", "0", "--access-log", "on"]
    with running(models, *options) as server, stub_to(grpc_port(server)) as stub:
        stub.ModelInfer(pump(id="8"))
        event = server.event("inference")
    assert (event["status"], event["id"], event["level"]) == (200, "8", "info")


def test_a_port_in_use_is_a_start_error(models: Path) -> None:
    with running(models, "--grpc-port", "0") as server:
        process = start(models, "--grpc-port", str(server.grpc_port))
        stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (1, "")
    message = f"cannot listen on 127.0.0.1 port {server.grpc_port}: Address already in use."
    assert json.loads(stdout.splitlines()[-1])["error"] == message


def test_a_call_in_flight_at_sigterm_is_answered(models: Path) -> None:
    with running(models, "--grpc-port", "0") as server, channel_to(grpc_port(server)) as channel:
        with calls_without_message(channel) as ([call], release):
            until(lambda: "kfp_edge_requests_in_flight 1\n" in server.get("/metrics")[1])
            server.process.terminate()
            server.event("draining")
            release()
            assert call.code() is grpc.StatusCode.OK
        assert server.process.wait(timeout=30) == 0


def test_after_goaway_a_call_in_flight_is_received_and_answered(models: Path) -> None:
    with run_grpc_only(models) as server, Http2Client(server.port) as client:
        stream = client.begin()
        server.wait_until_in_flight(1)
        server.end()
        assert client.wait_for(GOAWAY)
        client.send(frame(DATA, END_STREAM, stream, message(pump().SerializeToString())))
        kinds = [one.kind for one in client.frames() if one.kind in (GOAWAY, HEADERS, DATA)]
        assert server.process.wait(timeout=30) == 0
    assert [kind for kind in kinds if kind != GOAWAY] == [HEADERS, DATA, HEADERS]


def test_a_call_that_is_slow_at_sigterm_is_answered_within_the_drain_timeout_and_cancelled_after_it(
    models: Path,
) -> None:
    endless_bundle(models)
    request = ModelInferRequest(model_name="press")
    fill(request, "turns", "INT64", [1], [10**12])
    options = ("--grpc-port", "0", "--drain-timeout", "0.5", "--shutdown-delay", "0")
    with running(models, *options) as server, stub_to(grpc_port(server)) as stub:
        call = stub.ModelInfer.future(request)
        until(lambda: "kfp_edge_requests_in_flight 1\n" in server.get("/metrics")[1])
        assert server.stop() == 0
        assert call.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


def test_a_server_that_is_not_ready_reports_it_and_still_answers(models: Path) -> None:
    with run_grpc_only(models, "--not-ready") as server, stub_to(server.port) as stub:
        assert stub.ServerLive(service_pb2.ServerLiveRequest()).live
        assert not stub.ServerReady(service_pb2.ServerReadyRequest()).ready
        assert not stub.ModelReady(service_pb2.ModelReadyRequest(name="pump")).ready
        assert stub.ModelInfer(pump()).model_name == "pump"


def test_a_bug_is_an_internal_error_whose_details_only_the_log_has(models: Path) -> None:
    with run_grpc_only(models, "--broken") as server, stub_to(server.port) as stub:
        assert refused(lambda: stub.ModelInfer(pump())) == ("INTERNAL", INTERNAL_ERROR)
        server.end()
        bug = next(event for event in events(server.process) if event["event"] == "internal error")
    assert "ZeroDivisionError: a detail of the server" in bug["traceback"]


def test_clients_that_do_not_send_their_message_do_not_block_others(models: Path) -> None:
    with (
        run_grpc_only(models) as server,
        channel_to(server.port) as channel,
        calls_without_message(channel, calls=20),
    ):
        server.wait_until_in_flight(20)
        with stub_to(server.port) as stub:
            assert stub.ModelInfer(pump(), timeout=30).model_name == "pump"


def test_a_call_whose_message_does_not_arrive_is_cancelled(models: Path) -> None:
    with run_grpc_only(models, read_timeout=0.5) as server, channel_to(server.port) as channel:
        with calls_without_message(channel) as ([call], _):
            assert call.code() is grpc.StatusCode.CANCELLED
        server.wait_until_in_flight(0)


def test_calls_beyond_the_limit_are_refused_at_once_and_counted(models: Path) -> None:
    with (
        run_grpc_only(models, grpc_max_calls=4) as server,
        channel_to(server.port) as channel,
        stub_to(server.port) as stub,
    ):
        with calls_without_message(channel, calls=4) as (calls, release):
            server.wait_until_in_flight(4)
            assert [refused(lambda: stub.ModelInfer(pump()))[0] for _ in range(3)] == ["RESOURCE_EXHAUSTED"] * 3
            release()
            assert [call.code() for call in calls] == [grpc.StatusCode.OK] * 4
        assert server.state()["overloaded"] == 3
        server.wait_until_in_flight(0)
        assert stub.ModelInfer(pump()).model_name == "pump"


def test_a_call_that_waits_too_long_for_a_slow_model_is_refused_and_counted(tmp_path: Path) -> None:
    endless_bundle(tmp_path)
    request = ModelInferRequest(model_name="press")
    fill(request, "turns", "INT64", [1], [10**12])
    with run_grpc_only(tmp_path, max_wait=0.1) as server, stub_to(server.port) as stub:
        calls = [stub.ModelInfer.future(request) for _ in range(usable_cpus() + 1)]
        until(lambda: any(call.done() for call in calls))
        [refusal] = [call for call in calls if call.done()]
        assert server.state()["overloaded"] == 1
    assert refusal.code() is grpc.StatusCode.UNAVAILABLE
    assert refusal.details() == "the server has more requests than it can answer in time; try again later."


def test_connections_beyond_the_limit_are_refused(models: Path) -> None:
    with run_grpc_only(models, grpc_max_connections=2) as server, stub_to(server.port) as stub:
        stub.ModelInfer(pump())
        with channel_to(server.port) as second, channel_to(server.port) as third, channel_to(server.port) as fourth:
            calls = [channel.unary_unary(INFER) for channel in (second, third, fourth)]
            codes = [code_of(partial(call, b"", timeout=10)) for call in calls]
        assert codes[-1] == "UNAVAILABLE"
        assert stub.ModelInfer(pump()).model_name == "pump"


def test_a_connection_without_calls_is_closed_and_comes_back(models: Path) -> None:
    states: list[grpc.ChannelConnectivity] = []
    is_idle = threading.Event()

    def note(state: grpc.ChannelConnectivity) -> None:
        if state is IDLE and READY in states:
            is_idle.set()
        states.append(state)

    with run_grpc_only(models, grpc_idle_timeout=0.5) as server, channel_to(server.port) as channel:
        channel.subscribe(note)
        call = channel.unary_unary(INFER)
        call(pump().SerializeToString())
        assert is_idle.wait(30)
        assert call(pump().SerializeToString())

"""A server with more work than it can do answers or refuses every request, and its probes."""

import re
from functools import partial
from pathlib import Path

import pytest

from serving_support.bundles import PUMP_ROW
from serving_support.load import ask, drive, http_request, in_background
from serving_support.server_process import PATIENT, Server, events_of, running
from serving_support.waiting import until

INFER = "/v2/models/pump/infer"


def batch(rows: int) -> bytes:
    numbers = b",".join([b"0.25"] * (3 * rows))
    return b'{"inputs": [{"name": "X", "datatype": "FP32", "shape": [%d, 3], "data": [%b]}]}' % (rows, numbers)


#: Larger than what is answered on the event loop, so a thread does it; and as large as what is answered on it.
IN_THREADS, ON_EVENT_LOOP = batch(9_000), batch(2_000)


def counted(server: Server, status: int) -> int:
    """Return how many inferences the server has answered with a status."""
    metrics = ask(server.port, "GET", "/metrics")[1].decode()
    match = re.search(rf'^kfp_edge_requests_total{{.*code="{status}"}} (\d+)$', metrics, re.MULTILINE)
    return int(match[1]) if match else 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "clients"), [(IN_THREADS, 128), (ON_EVENT_LOOP, 256)], ids=["in threads", "on the event loop"]
)
def test_every_request_is_answered_or_refused_and_probes_are_answered(
    pump_models: Path, body: bytes, clients: int
) -> None:
    with running(pump_models, "--max-wait", "0.05") as server, events_of(server) as events:
        load = partial(drive, server.port, [http_request("POST", INFER, body)], clients)
        probes = set()

        def is_overloaded() -> bool:
            probes.update(ask(server.port, "GET", f"/v2/health/{state}")[0] for state in ("live", "ready"))
            return counted(server, 200) >= 20 and counted(server, 503) >= 200

        with in_background(load) as outcome:
            until(is_overloaded)
        assert outcome.failures == {}
        assert outcome.answers.keys() == {200, 503}
        assert outcome.without_retry_after == 0
        assert probes == {200}
        # once the load has ended, all is answered
        assert [ask(server.port, "POST", INFER, PUMP_ROW)[0] for _ in range(20)] == [200] * 20
        overloaded = f"\nkfp_edge_overloaded_total {outcome.answers[503]}\n"
        assert overloaded in ask(server.port, "GET", "/metrics")[1].decode()
    assert [event for event in events if event["level"] == "error"] == []


def test_a_few_clients_are_no_overload(pump_models: Path) -> None:
    remaining = iter(range(1000))
    with running(pump_models, *PATIENT) as server:
        request = http_request("POST", INFER, PUMP_ROW)
        outcome = drive(server.port, [request], 4, lambda: next(remaining, None) is not None)
    assert outcome.failures == {}
    assert outcome.answers.keys() == {200}

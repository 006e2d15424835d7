"""Transient failures of the API server are retried, all others are reported in one line without secrets."""

import pytest
from kfp_server_api import ApiException, V2beta1Run

from kfp_edge.client import Client, Endpoint
from kfp_edge.client.runs import observed_run
from kfp_edge.client.server import kfp_api
from kfp_edge.errors import KfpApiError
from support.clients import (
    client_of,
    small,
    submit_small,
)
from support.fake_kfp import FakeKfp

RUNS = "/apis/v2beta1/runs"

pytestmark = pytest.mark.usefixtures("no_pauses", "work_folder")


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_transient_error_is_retried(server: FakeKfp, status: int) -> None:
    run = submit_small(server)
    server.fail("GET", RUNS, status, times=4)
    assert run.wait().state == "succeeded"


def test_a_persistent_error_is_reported(server: FakeKfp) -> None:
    server.fail("GET", RUNS, 500, times=5)
    with pytest.raises(KfpApiError, match=r"could not list the runs \(HTTP 500\); try later\.$"):
        client_of(server).runs()


def test_retry_after_is_respected(server: FakeKfp) -> None:
    server.fail("GET", RUNS, 429, retry_after=0)
    assert client_of(server).runs() == []


@pytest.mark.parametrize("fault", ["drop_request", "drop_response"])
def test_a_lost_connection_is_reestablished(server: FakeKfp, fault: str) -> None:
    run = submit_small(server)
    getattr(server, fault)("GET", RUNS, times=2)
    assert run.wait().state == "succeeded"


def test_waiting_survives_a_longer_outage(server: FakeKfp) -> None:
    run = submit_small(server)
    server.fail("GET", RUNS, 503, times=2 * kfp_api.ATTEMPTS)
    assert run.wait().state == "succeeded"


def test_waiting_ends_when_the_outage_lasts_too_long(server: FakeKfp, monkeypatch: pytest.MonkeyPatch) -> None:
    run = submit_small(server)
    monkeypatch.setattr(observed_run, "OUTAGE_SECONDS", -1.0)
    server.fail("GET", RUNS, 503, times=kfp_api.ATTEMPTS)
    with pytest.raises(KfpApiError, match="HTTP 503"):
        run.wait()


def test_a_run_that_may_have_started_is_not_started_again(server: FakeKfp) -> None:
    server.drop_response("POST", RUNS)
    with pytest.raises(KfpApiError, match="it may have succeeded, so check before you try again"):
        submit_small(server)
    assert len(server.store.runs) == 1


def test_a_busy_server_is_asked_again_to_start_a_run(server: FakeKfp) -> None:
    server.fail("POST", RUNS, 429, times=2)
    submit_small(server)
    assert len(server.store.runs) == 1


def test_a_connection_that_was_refused_cannot_have_started_a_run() -> None:
    api = kfp_api.KfpApi(Endpoint("http://127.0.0.1:1", "", lambda: ""))
    with pytest.raises(KfpApiError, match=r"cannot be reached; check the address and the network\.$"):
        api.call("start the run", api.runs.run_service_create_run, V2beta1Run(), is_idempotent=False)


def test_a_timeout_is_reported(server: FakeKfp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kfp_api, "TIMEOUT", (1.0, 0.05))
    server.hang("GET", RUNS, times=kfp_api.ATTEMPTS)
    with pytest.raises(KfpApiError, match=rf"cannot list the runs: {server.url} did not answer within 0\.05 s"):
        client_of(server).runs()


def test_an_expired_token_is_read_again_while_waiting(server: FakeKfp) -> None:
    run = submit_small(server)
    run.wait(lambda _: server.expire_token())
    assert run.state == "succeeded"
    assert 401 in [request.status for request in server.requests]


def test_an_expired_token_that_is_not_renewed_is_reported_and_not_printed(server: FakeKfp) -> None:
    token = server.token
    client = Client(Endpoint(server.url, "ds-project", lambda: token))
    run = client.submit(small, {"rows": 1})
    server.expire_token()
    with pytest.raises(KfpApiError, match="does not accept the token, which is missing, has expired") as refused:
        run.wait()
    assert refused.value.status == 401
    assert token not in repr(refused.value)
    assert refused.value.__cause__ is None


def test_a_missing_permission_is_reported_with_the_document_to_read(server: FakeKfp) -> None:
    server.fail("GET", RUNS, 403)
    with pytest.raises(KfpApiError, match=r"the token may not list the runs at .*; deploy/openshift/README\.md lists"):
        client_of(server).runs()


def test_a_refusal_of_a_request_without_a_token_does_not_blame_a_token(server: FakeKfp) -> None:
    server.fail("GET", RUNS, 403)
    with pytest.raises(KfpApiError, match=r"refuses to list the runs without a token; run `oc login`, or put one into"):
        Client(Endpoint(server.url, "ds-project", lambda: "")).runs()


def test_https_to_a_plain_port_is_not_a_certificate_that_is_not_trusted(server: FakeKfp) -> None:
    host = server.url.replace("http://", "https://")
    with pytest.raises(KfpApiError, match=rf"{host} does not answer with TLS; check the port, or give http://HOST"):
        Client(Endpoint(host, "ds-project", lambda: server.token)).runs()


def test_a_redirect_to_a_login_page_is_reported(server: FakeKfp) -> None:
    server.fail("GET", RUNS, 302)
    with pytest.raises(KfpApiError, match="does not accept the token"):
        client_of(server).runs()


def test_a_host_that_is_not_an_api_server_is_reported(server: FakeKfp) -> None:
    server.respond_with_html("GET", RUNS)
    with pytest.raises(KfpApiError, match=r"answers, but not like a KFP API server \(text/html\)"):
        client_of(server).runs()


def test_an_unreachable_host_is_reported() -> None:
    with pytest.raises(KfpApiError, match=r"cannot list the runs: http://127\.0\.0\.1:1 cannot be reached"):
        Client(Endpoint("http://127.0.0.1:1", "", lambda: "")).runs()


def refusal_error(body: str, status: int) -> KfpApiError:
    error = ApiException(status=status)
    error.body = body
    return kfp_api.KfpApi(Endpoint("http://127.0.0.1:1", "", lambda: "s3cret"))._refusal_error("do it", error)


def test_a_token_in_an_error_message_of_a_server_is_redacted() -> None:
    assert (
        str(refusal_error('{"message": "what is\\ns3cret?"}', 400))
        == "http://127.0.0.1:1 refuses to do it: what is ***?."
    )

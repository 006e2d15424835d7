"""A server's own words reach the user, at once where the same call cannot succeed later."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kfp_server_api import ApiException

from kfp_edge.client.server.server_messages import is_permanent, read_message
from kfp_edge.errors import KfpApiError
from support.clients import client_of, submit_small
from support.fake_kfp import KFP, FakeKfp
from support.recorded_answers import RecordedAnswer, our_answers

RUNS = "/apis/v2beta1/runs"
RESOLVE = (
    "Failed to validate workflow for (): templates.entrypoint.tasks.root-driver failed to resolve {{tasks.a.outputs}}"
)


def message_of(body: str, *secrets: str) -> str:
    error = ApiException(status=500)
    error.body = body
    return read_message(error, secrets)


@pytest.mark.parametrize(
    "record", [each for each in our_answers("post", "get") if each.status >= 400], ids=lambda each: each.test_id
)
def test_every_recorded_refusal_keeps_its_words_and_is_final(record: RecordedAnswer) -> None:
    body = record.answer if isinstance(record.answer, str) else json.dumps(record.answer)
    message = message_of(body)
    if "router" in body:
        assert (message, is_permanent(record.status, message)) == ("", False)
        return
    answer = {"message": record.answer} if isinstance(record.answer, str) else record.answer
    assert message == (answer.get("message") or answer["error_message"]).strip().rstrip(". ")
    assert is_permanent(record.status, message) == (record.status == 500)


@pytest.mark.parametrize(
    "reason",
    [
        "InternalServerError: Failed to list runs: dial tcp 172.30.4.2:3306: connect: connection refused",
        "InternalServerError: Failed to store run: Error 1213 (40001): Deadlock found when trying to get lock",
        "InternalServerError: Failed to list runs: invalid connection",
        "Failed to create a run: context deadline exceeded",
        "Error 1040: Too many connections",
        "etcdserver: request timed out",
        'Operation cannot be fulfilled on workflows.argoproj.io "a": the object has been modified',
    ],
)
def test_a_fault_of_the_database_or_the_cluster_that_passes_is_not_final(reason: str) -> None:
    assert not is_permanent(500, message_of(json.dumps({"code": 13, "message": reason})))


@pytest.mark.parametrize("body", ["", "Internal Server Error\n", "<html>500</html>", "\n <!doctype html>", "{}", "[1]"])
def test_an_answer_without_words_is_not_final(body: str) -> None:
    assert message_of(body) == ""
    assert not is_permanent(500, "")


def test_the_stack_trace_of_the_server_is_left_out() -> None:
    message = (
        "Internal error: DAG root must contain one or more non-exit tasks\n"
        "github.com/kubeflow/pipelines/backend/src/common/util.NewInternalServerError\n"
        "\t/go/src/github.com/kubeflow/pipelines/backend/src/common/util/error.go:174\n"
        "google.golang.org/grpc.(*Server).processUnaryRPC\n\t/go/pkg/mod/google.golang.org/grpc/server.go:1405\n"
        "runtime.goexit\n\t/usr/local/go/src/runtime/asm_amd64.s:1700\n"
        "Failed to compile job"
    )
    expected = "Internal error: DAG root must contain one or more non-exit tasks Failed to compile job"
    assert message_of(json.dumps({"code": 13, "message": message})) == expected


def test_a_long_message_keeps_its_end_which_is_the_cause() -> None:
    message = message_of("Failed to create a run: " + "because: " * 200 + "the disk is full")
    assert message.startswith("Failed to create a run: ")
    assert message.endswith("the disk is full")
    assert len(message) < 520


@given(st.text(max_size=300))
def test_any_body_becomes_one_line_without_secrets(text: str) -> None:
    for body in (text, json.dumps({"message": text}), json.dumps({"error_message": text}), json.dumps([text])):
        assert len(message_of(body, "s3cret").splitlines()) <= 1
    assert "s3cret" not in message_of(f"{text} s3cret", "s3cret")


@pytest.mark.usefixtures("work_folder")
def test_a_permanent_refusal_with_status_500_is_not_tried_again(
    server: FakeKfp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kfp_edge.client.submission.package.check_values", lambda _: None)
    monkeypatch.setattr("kfp_edge.client.submission.package.check_size", lambda *_: None)
    with pytest.raises(KfpApiError) as refused:
        submit_small(server, note="{{tasks.a.outputs}}")
    assert str(refused.value) == (
        f"{server.url} could not start the run: Failed to create a new run: InternalServerError: {RESOLVE}."
    )
    assert [request.path for request in server.requests if request.status == 500] == [RUNS]


@pytest.mark.usefixtures("work_folder")
def test_a_refused_upload_of_kfp_is_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "server").mkdir()
    monkeypatch.setattr("kfp_edge.client.submission.package.canonical_text", lambda _: "{}")
    with FakeKfp(tmp_path / "server", backend=KFP) as server:
        with pytest.raises(KfpApiError, match=r"could not upload the pipeline: Failed to create a pipeline version\.$"):
            submit_small(server)
        assert [request.status for request in server.requests if "upload" in request.path] == [500]


@pytest.mark.usefixtures("work_folder")
def test_plain_text_of_the_upload_reaches_the_user(server: FakeKfp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kfp_edge.client.client.version_name", lambda pipeline, version: "x" * 128)
    with pytest.raises(
        KfpApiError, match=r"refuses to upload the pipeline: .*PipelineVersion\.Name length cannot exceed 127\.$"
    ):
        submit_small(server)


@pytest.mark.usefixtures("work_folder", "no_pauses")
def test_the_page_of_a_router_is_tried_again(server: FakeKfp) -> None:
    server.fail("GET", RUNS, 500, times=2)
    assert client_of(server).runs() == []

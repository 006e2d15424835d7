"""A run is canceled and retried, and what the server refuses is explained."""

import pytest

from kfp_edge.errors import KfpApiError, ParameterError
from support.clients import STAGES, submit_small
from support.fake_kfp import FakeKfp

pytestmark = pytest.mark.usefixtures("no_pauses", "work_folder")


def test_a_run_is_canceled(server: FakeKfp) -> None:
    run = submit_small(server)
    run.stages()
    run.cancel()
    assert run.state == "canceling"
    assert run.wait().state in ("failed", "canceled")
    assert server.store.run(run.id)["state"] == "FAILED"


def test_a_run_that_has_ended_is_not_canceled(server: FakeKfp) -> None:
    run = submit_small(server, name="done")
    run.wait()
    with pytest.raises(ParameterError, match=r"the run done has ended already \(succeeded\): there is nothing"):
        run.cancel()


def test_a_run_that_is_being_canceled_is_left_alone(server: FakeKfp) -> None:
    run = submit_small(server)
    server.store.runs_without_workflow.add(run.id)
    server.store.run(run.id)["state"] = "CANCELING"
    run.cancel()
    assert [request.method for request in server.requests if ":terminate" in request.path] == []


def test_a_cancellation_whose_answer_was_lost_has_succeeded(server: FakeKfp) -> None:
    run = submit_small(server)
    server.drop_response("POST", f"/apis/v2beta1/runs/{run.id}:terminate")
    run.cancel()
    assert run.state == "canceling"


def test_a_cancellation_that_the_server_did_not_execute_is_reported(server: FakeKfp) -> None:
    run = submit_small(server)
    server.fail("POST", f"/apis/v2beta1/runs/{run.id}:terminate", 500)
    with pytest.raises(KfpApiError, match="could not cancel the run"):
        run.cancel()


def test_a_run_whose_workflow_was_deleted_cannot_be_stopped(server: FakeKfp) -> None:
    run = submit_small(server, name="gone")
    server.store.runs_without_workflow.add(run.id)
    with pytest.raises(KfpApiError, match=r"the run gone is marked as being canceled, but .* could not stop its Workf"):
        run.cancel()


def test_a_failed_run_is_retried_with_the_same_id_and_keeps_what_has_succeeded(server: FakeKfp) -> None:
    server.store.failing["judge"] = ""
    run = submit_small(server)
    assert run.wait().state == "failed"
    server.store.failing.clear()
    run.retry()
    result = run.wait()
    assert [(stage.name, stage.state) for stage in result.stages] == [(name, "succeeded") for name in STAGES]


@pytest.mark.parametrize("ends", [True, False])
def test_only_a_failed_run_is_retried(server: FakeKfp, ends: bool) -> None:
    run = submit_small(server, name="fine")
    if ends:
        run.wait()
    state = "has succeeded" if ends else "is pending"
    with pytest.raises(ParameterError, match=f"the run fine {state}; only a run that failed can be retried"):
        run.retry()

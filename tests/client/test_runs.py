"""A run is followed by stage, and its metrics and reports are read."""

from datetime import UTC, datetime

import pytest

from kfp_edge.client import Run
from kfp_edge.errors import KfpApiError, KfpEdgeError, RunTimeoutError
from support.clients import (
    METRICS,
    REPORT,
    STAGES,
    client_of,
    only,
    set_results,
    small,
    submit_small,
)
from support.fake_kfp import FakeKfp

pytestmark = pytest.mark.usefixtures("no_pauses", "work_folder")


def test_waiting_reports_every_stage_as_it_starts_and_ends(server: FakeKfp) -> None:
    reported: list[dict[str, str]] = []
    result = submit_small(server).wait(lambda stages: reported.append({stage.name: stage.state for stage in stages}))
    assert (result.state, result.error) == ("succeeded", "")
    states = [tuple(each.values()) for each in reported]
    assert states == [
        ("pending", "pending", "pending"),
        ("running", "pending", "pending"),
        ("succeeded", "running", "pending"),
        ("succeeded", "succeeded", "running"),
        ("succeeded", "succeeded", "succeeded"),
    ]
    assert list(reported[0]) == STAGES


def log_hint(run: Run) -> str:
    return f"`oc logs -c main -l pipeline/runid={run.id}` shows its log, and so does the dashboard."


def test_a_failed_stage_is_named_with_its_reason(server: FakeKfp) -> None:
    server.store.failing["judge"] = "OOMKilled."
    run = submit_small(server)
    result = run.wait()
    assert result.state == "failed"
    assert result.error == f"the stage judge failed: OOMKilled; {log_hint(run)}"
    assert [stage.state for stage in result.stages] == ["succeeded", "failed", "skipped"]


def test_a_failure_without_a_reason_names_the_command_for_the_log(server: FakeKfp) -> None:
    server.store.failing["learn"] = ""
    run = submit_small(server)
    assert run.wait().error == f"the stage learn failed; {log_hint(run)}"


def test_waiting_ends_when_the_run_is_cancelled(server: FakeKfp) -> None:
    run = submit_small(server)
    only(server.store.runs)["state"] = "CANCELED"
    assert run.wait().error == f"the run ended as canceled; {log_hint(run)}"


def test_waiting_ends_after_the_timeout_and_the_run_continues(server: FakeKfp) -> None:
    run = submit_small(server)
    with pytest.raises(RunTimeoutError, match=f"has not ended within 0 s and continues; .* `kfp-edge runs {run.id}`"):
        run.wait(timeout=0)


def test_a_stage_in_a_loop_runs_until_its_slowest_task_has_ended(server: FakeKfp) -> None:
    run = submit_small(server)
    run.stages()
    tasks = only(server.store.runs)["run_details"]["task_details"]
    tasks.append({**next(task for task in tasks if task["display_name"] == "learn"), "state": "SUCCEEDED"})
    assert run.stages()[0].state == "running"


def test_runs_are_listed_and_found_by_id(server: FakeKfp) -> None:
    first, second = submit_small(server, name="first"), submit_small(server, name="second")
    server.store.runs[first.id]["created_at"] = "2020-01-01T00:00:00Z"
    assert [run.name for run in client_of(server).runs()] == ["second", "first"]
    assert [run.id for run in client_of(server).runs(limit=1)] == [second.id]
    run = client_of(server).run(first.id)
    assert (run.name, run.created_at) == ("first", datetime(2020, 1, 1, tzinfo=UTC))
    assert [stage.name for stage in run.stages()] == STAGES


def test_an_unknown_run_is_reported(server: FakeKfp) -> None:
    with pytest.raises(KfpApiError, match=r"refuses to read the run nothing: .* Run nothing not found\.$"):
        client_of(server).run("nothing")


def test_a_metric_of_a_later_stage_replaces_that_of_an_earlier_one(server: FakeKfp) -> None:
    set_results(server)
    run = submit_small(server)
    run.wait()
    assert run.metrics() == METRICS["learn"] | METRICS["judge"]


def test_metrics_are_those_of_this_run_and_not_of_another(server: FakeKfp) -> None:
    set_results(server)
    submit_small(server).wait()
    assert submit_small(server).metrics() == {}


def test_a_metrics_file_that_is_not_ours_is_tolerated(server: FakeKfp) -> None:
    server.store.contents["learn", "metrics"] = b"\x00no json"
    server.store.contents["judge", "metrics"] = b'{"auc": 0.8, "note": "text"}'
    run = submit_small(server)
    run.wait()
    assert run.metrics() == {"auc": 0.8}


def test_the_report_is_downloaded_without_the_token(server: FakeKfp) -> None:
    set_results(server)
    run = submit_small(server)
    run.wait()
    assert run.report("learn") == REPORT  # the fake's object store refuses a request with a token


def test_a_stage_without_a_report_is_reported(server: FakeKfp) -> None:
    with pytest.raises(KfpEdgeError, match="the pipeline has no stage 'publish' with a report; those are: learn"):
        submit_small(server).report("publish")


def test_a_missing_report_is_reported(server: FakeKfp) -> None:
    with pytest.raises(KfpEdgeError, match="has no report of learn: .* came from the cache"):
        submit_small(server).report("learn")


def test_metrics_require_the_namespace(server: FakeKfp) -> None:
    run = client_of(server, namespace="").submit(small, {"rows": 1})
    run.wait()
    with pytest.raises(KfpEdgeError, match="give the namespace"):
        run.metrics()


def test_an_unreachable_object_store_is_reported_without_the_signed_url(server: FakeKfp) -> None:
    set_results(server)
    run = submit_small(server)
    run.wait()
    server.drop_request("GET", "/store/")
    with pytest.raises(KfpApiError) as refused:
        run.report("learn")
    assert "cannot be reached from here; try it inside the cluster" in str(refused.value)
    assert "Signature" not in str(refused.value)
    assert refused.value.__cause__ is None

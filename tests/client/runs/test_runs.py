"""A run is followed by stage, and its metrics and reports are read."""

from datetime import UTC, datetime

import pytest

from kfp_edge.errors import KfpApiError, KfpEdgeError, ParameterError, PipelineError, RunTimeoutError
from support.clients import (
    METRICS,
    REPORT,
    STAGES,
    client_of,
    looped,
    only,
    set_results,
    small,
    stubborn,
    submit_small,
    twice,
)
from support.fake_kfp import FakeKfp, run_control

pytestmark = pytest.mark.usefixtures("no_pauses", "work_folder")


def test_waiting_reports_every_stage_as_it_starts_and_ends(server: FakeKfp) -> None:
    reported: list[dict[str, str]] = []
    result = submit_small(server).wait(lambda stages: reported.append({stage.name: stage.state for stage in stages}))
    assert (result.state, result.error) == ("succeeded", "")
    states = [tuple(each.values()) for each in reported]
    assert states == [
        ("pending", "pending", "pending"),
        ("running", "pending", "pending"),
        ("succeeded", "pending", "pending"),
        ("succeeded", "running", "pending"),
        ("succeeded", "succeeded", "pending"),
        ("succeeded", "succeeded", "running"),
        ("succeeded", "succeeded", "succeeded"),
    ]
    assert list(reported[0]) == STAGES


def test_a_failed_stage_is_named_and_the_later_ones_are_skipped(server: FakeKfp) -> None:
    server.store.failing["judge"] = "why"
    result = submit_small(server).wait()
    assert result.state == "failed"
    assert result.error.startswith("the stage judge failed; `oc logs -n ds-project ")
    assert [(stage.state, stage.note) for stage in result.stages] == [
        ("succeeded", ""),
        ("failed", ""),
        ("skipped", "an earlier stage did not succeed"),
    ]


def test_a_run_that_was_terminated_is_canceled_though_the_server_reports_it_as_failed(server: FakeKfp) -> None:
    server.store.behaviour.slow.add("learn")
    run = submit_small(server)
    while "running" not in [stage.state for stage in run.stages()]:
        pass
    run_control.terminate(server.store, run.id)
    assert run.refresh().state == "canceling"
    result = run.wait()
    assert (result.state, result.error) == ("canceled", f"the run {run.name} was canceled before it had ended.")
    assert [stage.state for stage in result.stages] == ["canceled", "skipped", "skipped"]
    assert client_of(server).runs()[0].state == "canceled"
    assert only(server.store.runs)["state"] == "FAILED"


def test_a_run_that_is_retried_shows_what_runs_again_as_pending(server: FakeKfp) -> None:
    server.store.failing["judge"] = "why"
    run = submit_small(server)
    run.wait()
    server.store.failing.clear()
    assert not run.is_retried
    run_control.retry(server.store, run.id)
    assert [stage.state for stage in run.stages()] == ["succeeded", "pending", "pending"]
    assert [stage.state for stage in run.wait().stages] == ["succeeded", "succeeded", "succeeded"]
    assert run.is_retried


def test_a_stage_from_the_cache_is_marked(server: FakeKfp) -> None:
    server.store.behaviour.cached.add("learn")
    assert [stage.note for stage in submit_small(server).wait().stages] == ["from the cache", "", ""]


def test_a_stage_that_needed_a_second_attempt_is_marked(server: FakeKfp) -> None:
    server.store.behaviour.failed_attempts["publish"] = 1
    run = client_of(server).submit(stubborn)
    (stage,) = run.wait().stages
    assert (stage.name, stage.state, stage.note) == ("publish", "succeeded", "attempt 2")


def test_a_stage_in_a_loop_counts_its_items(server: FakeKfp) -> None:
    server.store.behaviour.items["for-loop-1"] = 3
    run = client_of(server).submit(looped)
    reported: list[tuple[str, str]] = []
    result = run.wait(lambda stages: reported.append((stages[0].state, stages[0].note)))
    assert ("running", "0 of 3 done") in reported
    assert [(stage.state, stage.note) for stage in result.stages] == [("succeeded", "3 of 3 done")]


def test_stages_of_one_name_in_different_nested_pipelines_are_not_merged(server: FakeKfp) -> None:
    server.store.behaviour.skipped.add("condition-1")
    run = client_of(server).submit(twice)
    assert sorted((stage.name, stage.state, stage.note) for stage in run.wait().stages) == [
        ("condition-1/small-2/judge", "skipped", "its condition is false"),
        ("small/judge", "succeeded", ""),
    ]


def test_an_archived_run_says_so(server: FakeKfp) -> None:
    run = submit_small(server)
    assert not run.is_archived
    server.store.archive(server.store.runs, run.id)
    assert run.refresh().is_archived


def test_the_stages_of_a_run_of_kfp_v1_are_not_listed(server: FakeKfp) -> None:
    run = submit_small(server)
    stored = only(server.store.runs)
    del stored["pipeline_version_reference"]
    stored["pipeline_spec"] = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow"}
    stored["state"] = "SUCCEEDED"
    with pytest.raises(PipelineError, match=f"the run {run.name} executes a pipeline of KFP v1, .* dashboard: http"):
        run.stages()


def test_a_run_whose_pipeline_was_deleted_is_waited_for(server: FakeKfp) -> None:
    run = submit_small(server)
    stored, versions = only(server.store.runs), dict(server.store.versions)
    stored["state"] = "SUCCEEDED"
    server.store.versions.clear()
    assert versions
    assert (run.wait().state, run.wait().stages) == ("succeeded", ())


def test_a_run_that_the_server_cannot_read_says_so(server: FakeKfp) -> None:
    run = submit_small(server)
    stored = only(server.store.runs)
    stored["error"] = {"code": 3, "message": "Failed to parse the pipeline source"}
    assert run.refresh().error() == f"{server.url} reports of the run {run.name}: Failed to parse the pipeline source"


@pytest.mark.parametrize("run_id", ["../pipelines", "a b", "", "x/y"])
def test_what_cannot_be_an_id_is_not_sent(server: FakeKfp, run_id: str) -> None:
    with pytest.raises(ParameterError, match="is not the id of a run; `kfp-edge runs --namespace .*` lists the runs"):
        client_of(server).run(run_id)
    assert server.requests == []


def test_waiting_ends_after_the_timeout_and_the_run_continues(server: FakeKfp) -> None:
    run = submit_small(server)
    command = f"kfp-edge runs {run.id} --namespace ds-project --host {server.url}"
    with pytest.raises(RunTimeoutError, match=f"has not ended within 0 s and continues; .* `{command}`"):
        run.wait(timeout=0)


def test_runs_are_listed_and_found_by_id(server: FakeKfp) -> None:
    first, second = submit_small(server, name="first"), submit_small(server, name="second")
    server.store.runs[first.id]["created_at"] = "2020-01-01T00:00:00Z"
    assert [run.name for run in client_of(server).runs()] == ["second", "first"]
    assert [run.id for run in client_of(server).runs(limit=1)] == [second.id]
    run = client_of(server).run(first.id)
    assert (run.name, run.created_at) == ("first", datetime(2020, 1, 1, tzinfo=UTC))
    assert [stage.name for stage in run.stages()] == STAGES


def test_an_unknown_run_is_reported(server: FakeKfp) -> None:
    with pytest.raises(KfpApiError, match="has no run nothing; `kfp-edge runs` lists the runs with their whole ids"):
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

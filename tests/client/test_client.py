"""The client submits pipelines to a KFP backend, follows runs and reads their results."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from kfp_server_api import ApiException, V2beta1Run

from kfp_edge.client import Client, Run, kfp_api, runs
from kfp_edge.client.kfp_api import Endpoint
from kfp_edge.client.package import make_package
from kfp_edge.errors import KfpApiError, KfpEdgeError, RunTimeoutError
from kfp_edge.spec import compiler
from support.clients import METRICS, REPORT, STAGES, client_of, make_checkout, set_results, small, write_small
from support.fake_kfp import FakeKfp

RUNS = "/apis/v2beta1/runs"


pytestmark = pytest.mark.usefixtures("no_pauses", "work_folder")


def submit(server: FakeKfp, **options: Any) -> Run:
    return client_of(server).submit(small, {"rows": 3}, **options)


def only(objects: dict[str, Any]) -> Any:
    (value,) = objects.values()
    return value


# --- submitting


def test_a_run_is_submitted_with_its_parameters(server: FakeKfp) -> None:
    run = client_of(server).submit(small, {"rows": 3, "rate": "0.5", "tags": ["x"]}, name="mine", experiment="trials")
    stored = only(server.store.runs)
    assert (run.id, run.name, run.state) == (stored["run_id"], "mine", "pending")
    assert run.url == f"{server.url}/#/runs/details/{run.id}"
    assert stored["runtime_config"] == {"parameters": {"rows": 3, "rate": 0.5, "tags": ["x"]}}
    assert only(server.store.experiments)["display_name"] == "trials"


def test_an_experiment_and_a_pipeline_are_created_once(server: FakeKfp) -> None:
    submit(server)
    submit(server)
    assert len(server.store.runs) == 2
    assert [len(objects) for objects in (server.store.experiments, server.store.pipelines, server.store.versions)] == [
        1,
        1,
        1,
    ]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "the pipeline small needs the parameter 'rows'"),
        ({"rows": "many"}, 'the parameter rows must be a whole number, not "many"'),
        ({"rows": 1, "rat": 0.5}, "the pipeline small has no parameter 'rat'; did you mean rate"),
        ({"rows": 1, "tags": "a"}, "the parameter tags must be a list"),
        ({"rows": 1, "about": [1]}, "the parameter about must be a mapping"),
    ],
)
def test_parameters_are_checked_before_anything_is_sent(
    server: FakeKfp, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(KfpEdgeError, match=message):
        client_of(server).submit(small, parameters)
    assert server.requests == []


def test_a_pipeline_of_kfp_edge_is_submitted_by_name(server: FakeKfp) -> None:
    client_of(server).submit("training")
    assert only(server.store.pipelines)["display_name"] == "training"


def test_a_compiled_file_is_submitted(server: FakeKfp, tmp_path: Path) -> None:
    file = write_small(tmp_path)
    client_of(server).submit(file, {"rows": 1})
    client_of(server).submit(str(file), {"rows": 1})
    assert only(server.store.versions)["pipeline_spec"] == yaml.safe_load(file.read_text())


def test_a_file_that_a_backend_would_refuse_is_not_sent(server: FakeKfp, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(compiler.compile_to_yaml(small).replace("\nschemaVersion:", "\nschemaVersoin:"))
    with pytest.raises(KfpEdgeError, match=r"a backend would refuse .*bad\.yaml: schemaVersoin is not a field"):
        client_of(server).submit(file, {"rows": 1})
    assert server.requests == []


def test_manifests_are_not_submitted(server: FakeKfp, tmp_path: Path) -> None:
    file = tmp_path / "manifests.yaml"
    file.write_text(compiler.compile_to_manifests(small))
    with pytest.raises(KfpEdgeError, match="holds Kubernetes manifests"):
        client_of(server).submit(file, {"rows": 1})


def test_without_the_cache_no_task_is_cached(server: FakeKfp) -> None:
    submit(server)
    submit(server, cache=False)
    cached, uncached = (str(version["pipeline_spec"]) for version in server.store.versions.values())
    assert "'enableCache': True" in cached
    assert "'enableCache': True" not in uncached
    assert uncached.count("'cachingOptions': {}") == len(STAGES) + 1  # the nested pipeline is a task as well


# --- versions


def version_names(server: FakeKfp) -> list[str]:
    return [version["display_name"] for version in server.store.versions.values()]


def test_a_version_is_named_by_the_git_commit_of_a_clean_checkout(server: FakeKfp, work_folder: Path) -> None:
    file = write_small(work_folder)
    commit = make_checkout(work_folder)
    client_of(server).submit(file, {"rows": 1})
    assert version_names(server) == [commit[:12]]
    assert only(server.store.versions)["name"] == f"small-{commit[:12]}"
    assert only(server.store.runs)["runtime_config"]["parameters"] == {"revision": commit, "rows": 1}


def test_a_version_from_a_changed_checkout_adds_the_digest_of_the_yaml(server: FakeKfp, work_folder: Path) -> None:
    commit = make_checkout(work_folder)
    client_of(server).submit(write_small(work_folder), {"rows": 1})
    assert version_names(server) == [next(make_package(Path("small.yaml")).version_names)]
    assert version_names(server)[0].startswith(f"{commit[:12]}-")


def test_a_version_from_outside_a_checkout_is_named_by_the_digest(server: FakeKfp) -> None:
    submit(server)
    assert len(version_names(server)[0]) == 12


def test_other_yaml_of_the_same_commit_is_another_version(server: FakeKfp, work_folder: Path) -> None:
    commit = make_checkout(work_folder)
    submit(server)
    submit(server, cache=False)
    submit(server)
    assert [name[:13] for name in version_names(server)] == [commit[:12], f"{commit[:12]}-"]


def test_numbers_that_the_backend_returns_as_floats_are_the_same_version(server: FakeKfp, tmp_path: Path) -> None:
    package = make_package(write_small(tmp_path))
    spec = yaml.safe_load(package.text)
    platform = {"platforms": {"kubernetes": {}}}
    assert package.is_equal_to(convert_numbers_to_floats(spec))
    assert not package.is_equal_to({"pipeline_spec": spec, "platform_spec": platform})


def convert_numbers_to_floats(value: Any) -> Any:
    """Return numbers as Go's protobuf `Struct` does."""
    match value:
        case dict():
            return {key: convert_numbers_to_floats(item) for key, item in value.items()}
        case list():
            return [convert_numbers_to_floats(item) for item in value]
        case bool():
            return value
        case int():
            return float(value)
    return value


def test_a_version_that_another_client_uploads_at_the_same_moment_is_reused(server: FakeKfp) -> None:
    server.drop_response("POST", "/apis/v2beta1/pipelines/upload_version")
    server.drop_response("POST", "/apis/v2beta1/experiments")
    submit(server)
    assert len(server.store.versions) == len(server.store.experiments) == len(server.store.runs) == 1


# --- following


def test_waiting_reports_every_stage_as_it_starts_and_ends(server: FakeKfp) -> None:
    reported: list[dict[str, str]] = []
    result = submit(server).wait(lambda stages: reported.append({stage.name: stage.state for stage in stages}))
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
    run = submit(server)
    result = run.wait()
    assert result.state == "failed"
    assert result.error == f"the stage judge failed: OOMKilled; {log_hint(run)}"
    assert [stage.state for stage in result.stages] == ["succeeded", "failed", "skipped"]


def test_a_failure_without_a_reason_names_the_command_for_the_log(server: FakeKfp) -> None:
    server.store.failing["learn"] = ""
    run = submit(server)
    assert run.wait().error == f"the stage learn failed; {log_hint(run)}"


def test_waiting_ends_when_the_run_is_cancelled(server: FakeKfp) -> None:
    run = submit(server)
    only(server.store.runs)["state"] = "CANCELED"
    assert run.wait().error == f"the run ended as canceled; {log_hint(run)}"


def test_waiting_ends_after_the_timeout_and_the_run_continues(server: FakeKfp) -> None:
    run = submit(server)
    with pytest.raises(RunTimeoutError, match=f"has not ended within 0 s and continues; .* `kfp-edge runs {run.id}`"):
        run.wait(timeout=0)


def test_a_stage_in_a_loop_runs_until_its_slowest_task_has_ended(server: FakeKfp) -> None:
    run = submit(server)
    run.stages()
    tasks = only(server.store.runs)["run_details"]["task_details"]
    tasks.append({**next(task for task in tasks if task["display_name"] == "learn"), "state": "SUCCEEDED"})
    assert run.stages()[0].state == "running"


def test_runs_are_listed_and_found_by_id(server: FakeKfp) -> None:
    first, second = submit(server, name="first"), submit(server, name="second")
    server.store.runs[first.id]["created_at"] = "2020-01-01T00:00:00Z"
    assert [run.name for run in client_of(server).runs()] == ["second", "first"]
    assert [run.id for run in client_of(server).runs(limit=1)] == [second.id]
    run = client_of(server).run(first.id)
    assert (run.name, run.created_at) == ("first", datetime(2020, 1, 1, tzinfo=UTC))
    assert [stage.name for stage in run.stages()] == STAGES


def test_an_unknown_run_is_reported(server: FakeKfp) -> None:
    with pytest.raises(KfpApiError, match=r"refuses to read the run nothing: .* Run nothing not found\.$"):
        client_of(server).run("nothing")


# --- results


def test_a_metric_of_a_later_stage_replaces_that_of_an_earlier_one(server: FakeKfp) -> None:
    set_results(server)
    run = submit(server)
    run.wait()
    assert run.metrics() == METRICS["learn"] | METRICS["judge"]


def test_metrics_are_those_of_this_run_and_not_of_another(server: FakeKfp) -> None:
    set_results(server)
    submit(server).wait()
    assert submit(server).metrics() == {}


def test_a_report_is_found_beyond_the_first_page_of_artifacts(server: FakeKfp) -> None:
    set_results(server)
    run = submit(server)
    run.wait()
    other = dict(next(iter(server.store.artifacts.values())), uri="s3://bucket/elsewhere")
    server.store.artifacts |= {f"other-{number}": dict(other, artifact_id=f"other-{number}") for number in range(250)}
    assert run.report("learn") == REPORT


def test_a_metrics_file_that_is_not_ours_is_tolerated(server: FakeKfp) -> None:
    server.store.contents["learn", "metrics"] = b"\x00no json"
    server.store.contents["judge", "metrics"] = b'{"auc": 0.8, "note": "text"}'
    run = submit(server)
    run.wait()
    assert run.metrics() == {"auc": 0.8}


def test_the_report_is_downloaded_without_the_token(server: FakeKfp) -> None:
    set_results(server)
    run = submit(server)
    run.wait()
    assert run.report("learn") == REPORT  # the fake's object store refuses a request with a token


def test_a_stage_without_a_report_is_reported(server: FakeKfp) -> None:
    with pytest.raises(KfpEdgeError, match="the pipeline has no stage 'publish' with a report; those are: learn"):
        submit(server).report("publish")


def test_a_missing_report_is_reported(server: FakeKfp) -> None:
    with pytest.raises(KfpEdgeError, match="has no report of learn: .* came from the cache"):
        submit(server).report("learn")


def test_metrics_require_the_namespace(server: FakeKfp) -> None:
    run = client_of(server, namespace="").submit(small, {"rows": 1})
    with pytest.raises(KfpEdgeError, match="give the namespace"):
        run.metrics()


def test_an_unreachable_object_store_is_reported_without_the_signed_url(server: FakeKfp) -> None:
    set_results(server)
    run = submit(server)
    run.wait()
    server.drop_request("GET", "/store/")
    with pytest.raises(KfpApiError) as refused:
        run.report("learn")
    assert "cannot be reached from here; try it inside the cluster" in str(refused.value)
    assert "Signature" not in str(refused.value)
    assert refused.value.__cause__ is None


# --- faults


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_transient_error_is_retried(server: FakeKfp, status: int) -> None:
    run = submit(server)
    server.fail("GET", RUNS, status, times=4)
    assert run.wait().state == "succeeded"


def test_a_persistent_error_is_reported(server: FakeKfp) -> None:
    server.fail("GET", RUNS, 500, times=5)
    with pytest.raises(KfpApiError, match=r"could not list the runs \(HTTP 500: the fake fails .*\); try later\.$"):
        client_of(server).runs()


def test_retry_after_is_respected(server: FakeKfp) -> None:
    server.fail("GET", RUNS, 429, retry_after=0)
    assert client_of(server).runs() == []


@pytest.mark.parametrize("fault", ["drop_request", "drop_response"])
def test_a_lost_connection_is_reestablished(server: FakeKfp, fault: str) -> None:
    run = submit(server)
    getattr(server, fault)("GET", RUNS, times=2)
    assert run.wait().state == "succeeded"


def test_waiting_survives_a_longer_outage(server: FakeKfp) -> None:
    run = submit(server)
    server.fail("GET", RUNS, 503, times=2 * kfp_api.ATTEMPTS)
    assert run.wait().state == "succeeded"


def test_waiting_ends_when_the_outage_lasts_too_long(server: FakeKfp, monkeypatch: pytest.MonkeyPatch) -> None:
    run = submit(server)
    monkeypatch.setattr(runs, "OUTAGE_SECONDS", -1.0)
    server.fail("GET", RUNS, 503, times=kfp_api.ATTEMPTS)
    with pytest.raises(KfpApiError, match="HTTP 503"):
        run.wait()


def test_a_run_that_may_have_started_is_not_started_again(server: FakeKfp) -> None:
    server.drop_response("POST", RUNS)
    with pytest.raises(KfpApiError, match="it may have succeeded, so check before you try again"):
        submit(server)
    assert len(server.store.runs) == 1


def test_a_busy_server_is_asked_again_to_start_a_run(server: FakeKfp) -> None:
    server.fail("POST", RUNS, 429, times=2)
    submit(server)
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
    run = submit(server)
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


@given(st.text(max_size=200), st.sampled_from([400, 403, 404, 409, 500]))
def test_any_error_message_of_a_server_becomes_one_line(text: str, status: int) -> None:
    for body in (text, json.dumps({"message": text}), json.dumps({"error_message": text}), json.dumps([text])):
        assert len(str(refusal_error(body, status)).splitlines()) == 1


def test_a_token_in_an_error_message_of_a_server_is_redacted() -> None:
    assert (
        str(refusal_error('{"message": "what is\\ns3cret?"}', 400))
        == "http://127.0.0.1:1 refuses to do it: what is ***?."
    )

"""Pipelines are submitted, followed and read from a KFP backend (a fake, over real HTTP)."""

import json
from collections.abc import Iterator
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
from kfp_edge.errors import KfpApiError, KfpEdgeError
from kfp_edge.spec import compilation
from support.clients import METRICS, REPORT, STAGES, checkout, client_of, leave_results, small, write_small
from support.fake_kfp import FakeKfp

RUNS = "/apis/v2beta1/runs"


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeKfp]:
    folder = tmp_path / "backend"
    folder.mkdir()
    with FakeKfp(folder) as running:
        yield running


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No pauses; and work in a folder that is no git checkout."""
    monkeypatch.setattr(runs, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(kfp_api, "_PAUSE", 0.001)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)


def submit(fake: FakeKfp, **options: Any) -> Run:
    return client_of(fake).submit(small, {"rows": 3}, **options)


def only(objects: dict[str, Any]) -> Any:
    (found,) = objects.values()
    return found


# --- submitting


def test_a_run_is_submitted_with_its_parameters(fake: FakeKfp) -> None:
    run = client_of(fake).submit(small, {"rows": 3, "rate": "0.5", "tags": ["x"]}, name="mine", experiment="trials")
    kept = only(fake.store.runs)
    assert (run.id, run.name, run.state) == (kept["run_id"], "mine", "pending")
    assert run.url == f"{fake.url}/#/runs/details/{run.id}"
    assert kept["runtime_config"] == {"parameters": {"rows": 3, "rate": 0.5, "tags": ["x"]}}
    assert only(fake.store.experiments)["display_name"] == "trials"


def test_an_experiment_and_a_pipeline_are_made_once(fake: FakeKfp) -> None:
    submit(fake)
    submit(fake)
    assert len(fake.store.runs) == 2
    assert [len(kept) for kept in (fake.store.experiments, fake.store.pipelines, fake.store.versions)] == [1, 1, 1]


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({}, "the pipeline small needs the parameter 'rows'"),
        ({"rows": "many"}, 'the parameter rows wants a whole number, got "many"'),
        ({"rows": 1, "rat": 0.5}, "the pipeline small has no parameter 'rat'; did you mean rate"),
        ({"rows": 1, "tags": "a"}, "the parameter tags wants a list"),
        ({"rows": 1, "about": [1]}, "the parameter about wants a mapping"),
    ],
)
def test_parameters_are_checked_before_anything_is_sent(fake: FakeKfp, parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(KfpEdgeError, match=said):
        client_of(fake).submit(small, parameters)
    assert fake.requests == []


def test_a_pipeline_of_ours_is_taken_by_name(fake: FakeKfp) -> None:
    client_of(fake).submit("training")
    assert only(fake.store.pipelines)["display_name"] == "training"


def test_a_compiled_file_is_taken_too(fake: FakeKfp, tmp_path: Path) -> None:
    file = write_small(tmp_path)
    client_of(fake).submit(file, {"rows": 1})
    client_of(fake).submit(str(file), {"rows": 1})
    assert only(fake.store.versions)["pipeline_spec"] == yaml.safe_load(file.read_text())


def test_a_file_that_a_backend_would_refuse_is_not_sent(fake: FakeKfp, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(compilation.compile_text(small).replace("\nschemaVersion:", "\nschemaVersoin:"))
    with pytest.raises(KfpEdgeError, match=r"a backend would refuse .*bad\.yaml: schemaVersoin is not a field"):
        client_of(fake).submit(file, {"rows": 1})
    assert fake.requests == []


def test_manifests_are_not_submitted(fake: FakeKfp, tmp_path: Path) -> None:
    file = tmp_path / "manifests.yaml"
    file.write_text(compilation.manifests_text(small))
    with pytest.raises(KfpEdgeError, match="holds Kubernetes manifests"):
        client_of(fake).submit(file, {"rows": 1})


def test_without_the_cache_every_task_does_its_work_anew(fake: FakeKfp) -> None:
    submit(fake)
    submit(fake, cache=False)
    cached, uncached = (str(version["pipeline_spec"]) for version in fake.store.versions.values())
    assert "'enableCache': True" in cached
    assert "'enableCache': True" not in uncached
    assert uncached.count("'cachingOptions': {}") == len(STAGES) + 1  # the nested pipeline is a task as well


# --- versions


def names(fake: FakeKfp) -> list[str]:
    return [version["display_name"] for version in fake.store.versions.values()]


def test_a_version_is_named_by_the_git_commit_of_a_clean_checkout(fake: FakeKfp, tmp_path: Path) -> None:
    file = write_small(tmp_path / "here")
    commit = checkout(tmp_path / "here")
    client_of(fake).submit(file, {"rows": 1})
    assert names(fake) == [commit[:12]]
    assert only(fake.store.versions)["name"] == f"small-{commit[:12]}"
    assert only(fake.store.runs)["runtime_config"]["parameters"] == {"revision": commit, "rows": 1}


def test_a_changed_checkout_adds_the_digest_of_the_yaml(fake: FakeKfp, tmp_path: Path) -> None:
    commit = checkout(tmp_path / "here")
    client_of(fake).submit(write_small(tmp_path / "here"), {"rows": 1})
    assert names(fake) == [next(make_package(Path("small.yaml")).version_names)]
    assert names(fake)[0].startswith(f"{commit[:12]}-")


def test_outside_of_a_checkout_a_version_is_named_by_the_digest_alone(fake: FakeKfp) -> None:
    submit(fake)
    assert len(names(fake)[0]) == 12


def test_other_yaml_of_the_same_commit_is_another_version(fake: FakeKfp, tmp_path: Path) -> None:
    commit = checkout(tmp_path / "here")
    submit(fake)
    submit(fake, cache=False)
    submit(fake)
    assert [name[:13] for name in names(fake)] == [commit[:12], f"{commit[:12]}-"]


def test_numbers_that_come_back_as_floats_are_the_same_version(fake: FakeKfp, tmp_path: Path) -> None:
    package = make_package(write_small(tmp_path))
    spec = yaml.safe_load(package.text)
    platform = {"platforms": {"kubernetes": {}}}
    assert package.is_spec(floats(spec))
    assert not package.is_spec({"pipeline_spec": spec, "platform_spec": platform})


def floats(value: Any) -> Any:
    """As Go's protobuf `Struct` gives numbers back."""
    match value:
        case dict():
            return {key: floats(part) for key, part in value.items()}
        case list():
            return [floats(part) for part in value]
        case bool():
            return value
        case int():
            return float(value)
    return value


def test_a_version_that_somebody_uploads_at_the_same_moment_is_reused(fake: FakeKfp) -> None:
    fake.lose_answer("POST", "/apis/v2beta1/pipelines/upload_version")
    fake.lose_answer("POST", "/apis/v2beta1/experiments")
    submit(fake)
    assert len(fake.store.versions) == len(fake.store.experiments) == len(fake.store.runs) == 1


# --- following


def test_waiting_shows_every_stage_as_it_begins_and_ends(fake: FakeKfp) -> None:
    seen: list[dict[str, str]] = []
    outcome = submit(fake).wait(lambda stages: seen.append({stage.name: stage.state for stage in stages}))
    assert (outcome.state, outcome.error) == ("succeeded", "")
    states = [tuple(each.values()) for each in seen]
    assert states == [
        ("pending", "pending", "pending"),
        ("running", "pending", "pending"),
        ("succeeded", "running", "pending"),
        ("succeeded", "succeeded", "running"),
        ("succeeded", "succeeded", "succeeded"),
    ]
    assert list(seen[0]) == STAGES


def where_the_log_is(run: Run) -> str:
    return f"`oc logs -c main -l pipeline/runid={run.id}` shows its log, and so does the dashboard."


def test_a_failed_stage_is_named_with_its_reason(fake: FakeKfp) -> None:
    fake.store.failing["judge"] = "OOMKilled."
    run = submit(fake)
    outcome = run.wait()
    assert outcome.state == "failed"
    assert outcome.error == f"the stage judge failed: OOMKilled; {where_the_log_is(run)}"
    assert [stage.state for stage in outcome.stages] == ["succeeded", "failed", "skipped"]


def test_a_failure_without_a_reason_says_where_the_log_is(fake: FakeKfp) -> None:
    fake.store.failing["learn"] = ""
    run = submit(fake)
    assert run.wait().error == f"the stage learn failed; {where_the_log_is(run)}"


def test_a_cancelled_run_has_ended(fake: FakeKfp) -> None:
    run = submit(fake)
    only(fake.store.runs)["state"] = "CANCELED"
    assert run.wait().error == f"the run ended as canceled; {where_the_log_is(run)}"


def test_a_run_that_takes_too_long_goes_on(fake: FakeKfp) -> None:
    run = submit(fake)
    with pytest.raises(KfpEdgeError, match=f"has not ended within 0 s and goes on; .* `kfp-edge runs {run.id}`"):
        run.wait(timeout=0)


def test_the_stage_of_a_loop_is_as_far_as_its_slowest_task(fake: FakeKfp) -> None:
    run = submit(fake)
    run.stages()
    tasks = only(fake.store.runs)["run_details"]["task_details"]
    tasks.append({**next(task for task in tasks if task["display_name"] == "learn"), "state": "SUCCEEDED"})
    assert run.stages()[0].state == "running"


def test_runs_are_listed_and_found_again(fake: FakeKfp) -> None:
    first, second = submit(fake, name="first"), submit(fake, name="second")
    fake.store.runs[first.id]["created_at"] = "2020-01-01T00:00:00Z"
    assert [run.name for run in client_of(fake).runs()] == ["second", "first"]
    assert [run.id for run in client_of(fake).runs(limit=1)] == [second.id]
    found = client_of(fake).run(first.id)
    assert (found.name, found.created_at) == ("first", datetime(2020, 1, 1, tzinfo=UTC))
    assert [stage.name for stage in found.stages()] == STAGES


def test_an_unknown_run_is_told(fake: FakeKfp) -> None:
    with pytest.raises(KfpApiError, match=r"refuses to read the run nothing: .* Run nothing not found\.$"):
        client_of(fake).run("nothing")


# --- results


def test_metrics_of_a_later_stage_stand_above_an_earlier_one_s(fake: FakeKfp) -> None:
    leave_results(fake)
    run = submit(fake)
    run.wait()
    assert run.metrics() == METRICS["learn"] | METRICS["judge"]


def test_results_are_those_of_this_run_and_not_of_another(fake: FakeKfp) -> None:
    leave_results(fake)
    submit(fake).wait()
    assert submit(fake).metrics() == {}


def test_results_are_found_behind_a_full_page(fake: FakeKfp) -> None:
    leave_results(fake)
    run = submit(fake)
    run.wait()
    other = dict(next(iter(fake.store.artifacts.values())), uri="s3://bucket/elsewhere")
    fake.store.artifacts |= {f"other-{number}": dict(other, artifact_id=f"other-{number}") for number in range(250)}
    assert run.report("learn") == REPORT


def test_a_metrics_file_of_somebody_else_s_component_is_no_trouble(fake: FakeKfp) -> None:
    fake.store.contents["learn", "metrics"] = b"\x00no json"
    fake.store.contents["judge", "metrics"] = b'{"auc": 0.8, "note": "text"}'
    run = submit(fake)
    run.wait()
    assert run.metrics() == {"auc": 0.8}


def test_the_report_is_fetched_without_the_token(fake: FakeKfp) -> None:
    leave_results(fake)
    run = submit(fake)
    run.wait()
    assert run.report("learn") == REPORT  # the fake's object store refuses a request with a token


def test_a_stage_without_a_report_is_told(fake: FakeKfp) -> None:
    with pytest.raises(KfpEdgeError, match="the pipeline has no stage 'tell' with a report; those are: learn"):
        submit(fake).report("tell")


def test_a_report_that_the_run_does_not_hold_is_told(fake: FakeKfp) -> None:
    with pytest.raises(KfpEdgeError, match="holds no report of learn: .* was answered from the cache"):
        submit(fake).report("learn")


def test_artifacts_need_the_namespace(fake: FakeKfp) -> None:
    run = client_of(fake, namespace="").submit(small, {"rows": 1})
    with pytest.raises(KfpEdgeError, match="give the namespace"):
        run.metrics()


def test_an_object_store_out_of_reach_is_told_without_the_signed_address(fake: FakeKfp) -> None:
    leave_results(fake)
    run = submit(fake)
    run.wait()
    fake.drop("GET", "/store/")
    with pytest.raises(KfpApiError) as refused:
        run.report("learn")
    assert "cannot be reached from here; try it inside the cluster" in str(refused.value)
    assert "Signature" not in str(refused.value)
    assert refused.value.__cause__ is None


# --- faults


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_server_in_trouble_is_asked_again(fake: FakeKfp, status: int) -> None:
    run = submit(fake)
    fake.fail("GET", RUNS, status, times=4)
    assert run.wait().state == "succeeded"


def test_a_server_that_stays_in_trouble_is_told(fake: FakeKfp) -> None:
    fake.fail("GET", RUNS, 500, times=5)
    with pytest.raises(KfpApiError, match=r"could not list the runs \(HTTP 500: the fake fails .*\); try later\.$"):
        client_of(fake).runs()


def test_a_server_says_how_long_to_wait(fake: FakeKfp) -> None:
    fake.fail("GET", RUNS, 429, retry_after=0)
    assert client_of(fake).runs() == []


@pytest.mark.parametrize("fault", ["drop", "lose_answer"])
def test_a_lost_connection_is_made_anew(fake: FakeKfp, fault: str) -> None:
    run = submit(fake)
    getattr(fake, fault)("GET", RUNS, times=2)
    assert run.wait().state == "succeeded"


def test_waiting_outlasts_a_server_that_is_away_for_longer(fake: FakeKfp) -> None:
    run = submit(fake)
    fake.fail("GET", RUNS, 503, times=2 * kfp_api.ATTEMPTS)
    assert run.wait().state == "succeeded"


def test_waiting_ends_when_the_server_stays_away(fake: FakeKfp, monkeypatch: pytest.MonkeyPatch) -> None:
    run = submit(fake)
    monkeypatch.setattr(runs, "PATIENCE_SECONDS", -1.0)
    fake.fail("GET", RUNS, 503, times=kfp_api.ATTEMPTS)
    with pytest.raises(KfpApiError, match="HTTP 503"):
        run.wait()


def test_a_run_whose_start_is_uncertain_is_not_started_twice(fake: FakeKfp) -> None:
    fake.lose_answer("POST", RUNS)
    with pytest.raises(KfpApiError, match="it may have been done all the same, so look before you try again"):
        submit(fake)
    assert len(fake.store.runs) == 1


def test_a_busy_server_did_not_start_the_run_and_is_asked_again(fake: FakeKfp) -> None:
    fake.fail("POST", RUNS, 429, times=2)
    submit(fake)
    assert len(fake.store.runs) == 1


def test_a_server_that_was_not_reached_did_nothing() -> None:
    found = kfp_api.KfpApi(Endpoint("http://127.0.0.1:1", "", lambda: ""))
    with pytest.raises(KfpApiError, match=r"cannot be reached; check the address and the network\.$"):
        found.call("start the run", found.runs.run_service_create_run, V2beta1Run(), repeatable=False)


def test_a_server_that_does_not_answer_is_told(fake: FakeKfp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kfp_api, "TIMEOUT", (1.0, 0.05))
    fake.hang("GET", RUNS, times=kfp_api.ATTEMPTS)
    with pytest.raises(KfpApiError, match=rf"cannot list the runs: {fake.url} did not answer within 0\.05 s"):
        client_of(fake).runs()


def test_a_token_that_expires_while_waiting_is_read_again(fake: FakeKfp) -> None:
    run = submit(fake)
    run.wait(lambda _: fake.expire_token())
    assert run.state == "succeeded"
    assert 401 in [call.status for call in fake.requests]


def test_a_token_that_nobody_renews_is_told_and_not_shown(fake: FakeKfp) -> None:
    token = fake.token
    found = Client(Endpoint(fake.url, "ds-project", lambda: token))
    run = found.submit(small, {"rows": 1})
    fake.expire_token()
    with pytest.raises(KfpApiError, match="does not accept the token, which is missing, has expired") as refused:
        run.wait()
    assert refused.value.status == 401
    assert token not in repr(refused.value)
    assert refused.value.__cause__ is None


def test_what_is_not_allowed_is_told_with_where_to_look(fake: FakeKfp) -> None:
    fake.fail("GET", RUNS, 403)
    with pytest.raises(KfpApiError, match=r"the token may not list the runs at .*; deploy/openshift/README\.md says"):
        client_of(fake).runs()


def test_a_login_page_is_not_taken_for_an_answer(fake: FakeKfp) -> None:
    fake.fail("GET", RUNS, 302)
    with pytest.raises(KfpApiError, match="does not accept the token"):
        client_of(fake).runs()


def test_an_address_that_is_no_api_server_is_told(fake: FakeKfp) -> None:
    fake.answer_html("GET", RUNS)
    with pytest.raises(KfpApiError, match=r"answers, but not as a KFP API server does \(text/html\)"):
        client_of(fake).runs()


def test_a_host_that_does_not_exist_is_told() -> None:
    with pytest.raises(KfpApiError, match=r"cannot list the runs: http://127\.0\.0\.1:1 cannot be reached"):
        Client(Endpoint("http://127.0.0.1:1", "", lambda: "")).runs()


def refusal(body: str, status: int) -> KfpApiError:
    error = ApiException(status=status)
    error.body = body
    return kfp_api.KfpApi(Endpoint("http://127.0.0.1:1", "", lambda: "s3cret"))._refusal("do it", error)


@given(st.text(max_size=200), st.sampled_from([400, 403, 404, 409, 500]))
def test_whatever_a_server_says_becomes_one_line(said: str, status: int) -> None:
    for body in (said, json.dumps({"message": said}), json.dumps({"error_message": said}), json.dumps([said])):
        assert len(str(refusal(body, status)).splitlines()) == 1


def test_a_server_that_repeats_the_token_does_not_have_it_shown() -> None:
    assert str(refusal('{"message": "what is\\ns3cret?"}', 400)) == "http://127.0.0.1:1 refuses to do it: what is ***?."

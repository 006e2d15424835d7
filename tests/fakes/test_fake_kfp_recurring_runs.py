"""The fake backend answers about recurring runs as a KFP 2.16.1 API server does, of which there are records."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from support.fake_kfp import FakeKfp, recurring_runs
from support.paths import ROOT

API = "/apis/v2beta1"
RECORDED = json.loads((ROOT / "tests/support/recorded/recurring_run_calls.json").read_text("utf-8"))
SHARED = ROOT.parent / "shared/recorded/kfp-2.16.1"

PIPELINE = """
components: {comp-a: {executorLabel: exec-a}}
deploymentSpec: {executors: {exec-a: {container: {image: "a:1"}}}}
pipelineInfo: {name: one}
root: {dag: {tasks: {a: {componentRef: {name: comp-a}, taskInfo: {name: a}}}}}
schemaVersion: 2.1.0
sdkVersion: kfp-2.16.1
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FakeKfp]:
    with FakeKfp(tmp_path) as running:
        yield running


@pytest.fixture
def references(server: FakeKfp) -> dict[str, Any]:
    """The ids of an experiment and of a version of a pipeline without parameters."""
    pipeline = server.store.upload("one", PIPELINE)
    (version,) = server.store.versions
    experiment = server.store.create_experiment({"display_name": "all"})
    return {
        "experiment_id": experiment["experiment_id"],
        "pipeline_version_reference": {"pipeline_id": pipeline["pipeline_id"], "pipeline_version_id": version},
    }


def call(server: FakeKfp, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    response = urllib3.PoolManager().request(
        method, server.url + path, json=body, headers={"Authorization": f"Bearer {server.token}"}
    )
    return response.status, response.json()


def masked(answer: Any, *ignored: str) -> Any:
    """Return an answer with ids and times made equal, and no-break spaces as spaces, without some fields."""
    text = json.dumps({name: value for name, value in answer.items() if name not in ignored}, ensure_ascii=False)
    text = re.sub(r"\w{8}-\w{4}-\w{4}-\w{4}-\w{12}", "ID", text.replace("\N{NO-BREAK SPACE}", " "))
    return json.loads(re.sub(r"20\d\d-\d\d-\d\dT[\d:]+Z", "TIME", text))


def repeat(server: FakeKfp, references: dict[str, Any], recorded: dict[str, Any]) -> tuple[int, Any]:
    body = {**recorded["request"], **references} if recorded["request"] else None
    return call(server, recorded["method"], recorded["path"], body)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda each: f"{each['method']} {each['status']}")
def test_a_recorded_call_has_its_recorded_answer(
    server: FakeKfp, references: dict[str, Any], recorded: dict[str, Any]
) -> None:
    status, answer = repeat(server, references, recorded)
    assert status == recorded["status"]
    if status == 200:
        assert masked(answer, "namespace") == masked(recorded["answer"], "namespace")
    else:
        assert masked(answer)["message"] == masked(recorded["answer"])["message"]


def test_an_empty_list_is_an_empty_object(server: FakeKfp) -> None:
    assert call(server, "GET", f"{API}/recurringruns") == (200, {})


def test_a_list_omits_an_empty_trigger(server: FakeKfp, references: dict[str, Any]) -> None:
    without_trigger = next(each for each in RECORDED if each["status"] == 200 and "trigger" not in each["request"])
    repeat(server, references, without_trigger)
    _, answer = call(server, "GET", f"{API}/recurringruns")
    assert "trigger" not in answer["recurringRuns"][0]


@pytest.fixture
def started(server: FakeKfp, references: dict[str, Any]) -> dict[str, Any]:
    """A run that a recurring run has started, and that runs."""
    nightly = {"display_name": "nightly", "max_concurrency": "1", "mode": "ENABLE", "trigger": {}, **references}
    _, recurring_run = call(server, "POST", f"{API}/recurringruns", nightly)
    run = recurring_runs.start_run(server.store, recurring_run["recurring_run_id"])
    server.store.read_run(run["run_id"])
    return run


def delete(server: FakeKfp, started: dict[str, Any], query: str) -> None:
    assert call(server, "DELETE", f"{API}/recurringruns/{started['recurring_run_id']}{query}") == (200, {})


def states(server: FakeKfp, started: dict[str, Any]) -> set[str]:
    """Return the states in which the run is met from now on."""
    return {str(call(server, "GET", f"{API}/runs/{started['run_id']}")[1]["state"]) for _ in range(20)}


def test_a_run_stays_running_forever_when_its_recurring_run_is_deleted(
    server: FakeKfp, started: dict[str, Any]
) -> None:
    delete(server, started, "")
    assert states(server, started) == {"RUNNING"}


def test_a_run_goes_on_when_its_workflow_is_orphaned(server: FakeKfp, started: dict[str, Any]) -> None:
    delete(server, started, "?propagation_policy=ORPHAN")
    assert "SUCCEEDED" in states(server, started)


def test_an_older_server_ignores_that_it_should_orphan(server: FakeKfp, started: dict[str, Any]) -> None:
    server.store.has_propagation_policy = False
    delete(server, started, "?propagation_policy=ORPHAN")
    assert states(server, started) == {"RUNNING"}


@pytest.mark.skipif(not SHARED.exists(), reason="the records of real servers are not there")
def test_every_recorded_refusal_of_a_recurring_run_is_tested(server: FakeKfp) -> None:
    refused = [json.loads(path.read_text("utf-8")) for path in SHARED.glob("*-recurringruns*-[45]*.json")]
    messages = {masked(each["answer"])["message"] for each in refused}
    assert messages <= {masked(each["answer"]).get("message") for each in RECORDED}

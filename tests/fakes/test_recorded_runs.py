"""The fake backend reports runs as KFP 2.16.1 does: a recorded answer is one of those that the fake gives."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
from kfp import dsl

from kfp_edge.client.runs.argo_nodes import node_id
from kfp_edge.spec import compile_to_yaml
from support.fake_kfp import FakeKfp, run_control
from support.recorded_answers import RecordedAnswer, our_answers, shared_answers

JsonObject = dict[str, Any]
#: Lists of records are cut after so many entries.
MOST_ENTRIES = 12
RUNS = "/apis/v2beta1/runs"


@dsl.container_component
def ok():
    """Succeed."""
    return dsl.ContainerSpec(image="example.com/runtime:1", command=["true"])


@dsl.container_component
def boom():
    """Fail."""
    return dsl.ContainerSpec(image="example.com/runtime:1", command=["false"])


@dsl.container_component
def final():
    """Run at the end."""
    return dsl.ContainerSpec(image="example.com/runtime:1", command=["true"])


@dsl.container_component
def num(number: dsl.OutputPath(int)):
    """Return a number."""
    return dsl.ContainerSpec(image="example.com/runtime:1", command=["true", number])


@dsl.pipeline(name="t-ok")
def one():
    """Run one stage."""
    ok()


@dsl.pipeline(name="t-exit1")
def failing():
    """Run a stage after one that fails."""
    ok().after(boom())


@dsl.pipeline(name="t-two")
def parallel():
    """Run two stages at the same time."""
    ok()
    boom()


@dsl.pipeline(name="t-exithandler")
def with_exit_task():
    """Run a stage whatever happened before."""
    with dsl.ExitHandler(final()):
        boom()


@dsl.pipeline(name="t-condition")
def conditional():
    """Run one of two branches."""
    number = num()
    with dsl.If(number.output == 1):
        ok()
    with dsl.Else():
        num()


PIPELINES: dict[str, Callable[[], Any]] = {
    "t-ok": one,
    "t-exit1": failing,
    "t-two": parallel,
    "t-exithandler": with_exit_task,
    "t-condition": conditional,
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FakeKfp]:
    with FakeKfp(tmp_path) as running:
        running.store.behaviour.failing["boom"] = ""
        running.store.behaviour.slow.add("ok")
        running.store.behaviour.skipped.add("condition-2")
        yield running


def request(server: FakeKfp, method: str, path: str, body: JsonObject | None = None) -> tuple[int, Any]:
    response = urllib3.request(
        method, server.url + path, json=body, headers={"Authorization": f"Bearer {server.token}"}, redirect=False
    )
    return response.status, response.json()


def start(server: FakeKfp, pipeline: Callable[[], Any]) -> str:
    """Start a run and return its id."""
    store = server.store
    name = f"p{len(store.pipelines)}"
    pipeline_id = store.create_pipeline({"name": name})["pipeline_id"]
    version = store.upload_version(pipeline_id, name, name, compile_to_yaml(pipeline))
    experiment = store.create_experiment({"display_name": name})
    run = store.create_run(
        {
            "display_name": name,
            "experiment_id": experiment["experiment_id"],
            "pipeline_version_reference": {
                "pipeline_id": pipeline_id,
                "pipeline_version_id": version["pipeline_version_id"],
            },
            "runtime_config": {"parameters": {}},
        }
    )
    return str(run["run_id"])


def answers(server: FakeKfp, run_id: str) -> Iterator[JsonObject]:
    """Yield what the fake reports about a run, until the run has ended."""
    while True:
        _, answer = request(server, "GET", f"{RUNS}/{run_id}")
        yield answer
        if answer["state"] in ("SUCCEEDED", "FAILED"):
            return


def run_records() -> list[RecordedAnswer]:
    recorded = [*our_answers("run-"), *shared_answers("get-runs-id-200")]
    return [each for each in recorded if each.backend == "kfp-2.16.1" and _pipeline_of(each) in PIPELINES]


def _pipeline_of(recorded: RecordedAnswer) -> str:
    return str(recorded.answer["display_name"]).split()[0]


def shape(value: Any) -> Any:
    """Return the keys and types of an answer."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items() if key not in ("task_details", "state_history")}
    if isinstance(value, list):
        return [shape(each) for each in value[:1]]
    return type(value).__name__


def tasks(answer: JsonObject, names: dict[str, str]) -> set[tuple[Any, ...]]:
    """Return what a client sees of each task; `names` has the names of the nodes by their ids."""
    details = answer.get("run_details", {}).get("task_details", [])
    return {
        (
            re.sub("^.*-[a-z0-9]{5}$", "the Workflow", task["display_name"]),
            task.get("state"),
            task["end_time"].startswith("0001"),
            tuple(sorted(names.get(child["pod_name"], "?") for child in task.get("child_tasks", ()))),
            # whether a pod was seen running depends on when somebody looked
            tuple(each.get("state") for each in task["state_history"] if each.get("state") != "RUNNING"),
        )
        for task in details
        if "display_name" in task
    }


def workflow_name(answer: JsonObject) -> str:
    children = [
        child["pod_name"]
        for task in answer.get("run_details", {}).get("task_details", [])
        for child in task.get("child_tasks", ())
    ]
    return children[0].rpartition("-")[0] if children else ""


def is_among(recorded: JsonObject, given: list[JsonObject], suffixes: set[str]) -> bool:
    """Whether a recorded answer has the state and the tasks of one that the fake gave."""
    expected = tasks(recorded, node_names(recorded, suffixes))
    is_cut = len(recorded.get("run_details", {}).get("task_details", [])) >= MOST_ENTRIES
    for answer in given:
        seen = tasks(answer, node_names(answer, suffixes))
        if answer["state"] == recorded["state"] and (expected <= seen if is_cut else expected == seen):
            return True
    return False


def node_names(answer: JsonObject, suffixes: set[str]) -> dict[str, str]:
    workflow = workflow_name(answer)
    return {node_id(workflow, workflow + suffix): suffix for suffix in suffixes}


@pytest.mark.parametrize("recorded", run_records(), ids=lambda each: each.test_id)
def test_a_recorded_run_is_one_that_the_fake_reports(server: FakeKfp, recorded: RecordedAnswer) -> None:
    run_id = start(server, PIPELINES[_pipeline_of(recorded)])
    given = list(answers(server, run_id))
    workflow = server.store.workflows[run_id]
    if recorded.name.endswith(("run-retried", "running-failed-none-succeeded")):
        run_control.retry(server.store, run_id)
        given = [request(server, "GET", f"{RUNS}/{run_id}")[1]]
    if "run_details" not in recorded.answer and recorded.answer["state"] == "FAILED":
        pytest.skip("a run that failed before its first report, which the fake does not have")
    suffixes = {node.name.removeprefix(workflow.name) for node in workflow.nodes.values()}
    assert is_among(recorded.answer, given, suffixes)


@pytest.mark.parametrize("recorded", run_records(), ids=lambda each: each.test_id)
def test_the_fake_has_the_keys_and_types_of_a_recorded_run(server: FakeKfp, recorded: RecordedAnswer) -> None:
    given = list(answers(server, start(server, PIPELINES[_pipeline_of(recorded)])))
    assert shape(recorded.answer) in [shape(each) for each in given]
    keys = {key for answer in given for task in _details(answer) for key in task}
    assert {key for task in _details(recorded.answer) if "display_name" in task for key in task} <= keys
    assert not [task for answer in given for task in _details(answer) if "error" in task]


def _details(answer: JsonObject) -> list[JsonObject]:
    details: list[JsonObject] = answer.get("run_details", {}).get("task_details", [])
    return details


CALLS = (
    "get-runs-id-404",
    "get-runs-nope-404",
    "post-runs-200",
    "post-runs-id-retry-",
    "post-runs-id-terminate",
    "post-experiments-id-archive",
)


def recorded_calls() -> list[RecordedAnswer]:
    return [each for each in shared_answers(*CALLS) if each.backend == "kfp-2.16.1"]


@pytest.mark.skipif(not recorded_calls(), reason="the answers of real servers are not beside this repository")
@pytest.mark.parametrize("recorded", recorded_calls(), ids=lambda each: each.test_id)
def test_a_recorded_call_gets_the_same_answer(server: FakeKfp, recorded: RecordedAnswer) -> None:
    status, answer = call(server, recorded)
    assert status == recorded.status
    assert shape(answer) == shape(recorded.answer)
    if "code" in answer:
        assert answer["code"] == recorded.answer["code"]


def call(server: FakeKfp, recorded: RecordedAnswer) -> tuple[int, Any]:
    """Make a recorded call about an object of the fake that is in the same state."""
    run_id = start(server, one)
    if recorded.name.startswith("post-experiments"):
        return request(server, "POST", f"/apis/v2beta1/experiments/{next(iter(server.store.experiments))}:archive")
    if recorded.name.startswith("post-runs-200"):
        run = server.store.runs[run_id]
        body = {key: run[key] for key in ("display_name", "experiment_id", "pipeline_version_reference")}
        return request(server, "POST", RUNS, {**body, "runtime_config": {"parameters": {}}})
    if "-404-" in recorded.name:
        return request(server, "GET", f"{RUNS}/{recorded.path.rpartition('/')[2]}")
    verb = recorded.path.rpartition(":")[2]
    match verb, recorded.status:
        case "retry", 200:
            run_id = start(server, failing)
            list(answers(server, run_id))
        case "terminate", 400:
            list(answers(server, run_id))
        case "terminate", 500:
            server.store.runs_without_workflow.add(run_id)
    return request(server, "POST", f"{RUNS}/{run_id}:{verb}")

"""The states of stages in runs that a real KFP API server 2.16.1 reported."""

import json
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import kfp_server_api
import pytest
from kfp_server_api import V2beta1Run

from kfp_edge.client.runs.argo_nodes import NodePlace, node_id, parse_node_name
from kfp_edge.client.runs.snapshot import format_stage
from kfp_edge.client.runs.stage_states import (
    StageState,
    display_names,
    failed_driver,
    is_retried,
    normalize_state,
    stage_states,
    terminated_at,
)
from kfp_edge.spec.compiled_pipeline import PathStep, Stage
from support.recorded_answers import our_answers


def read_run(name: str) -> V2beta1Run:
    """Return a recorded run, as the official client reads it."""
    (recorded,) = our_answers(name)
    return to_run(recorded.answer)


def to_run(answer: dict[str, Any]) -> V2beta1Run:
    return kfp_server_api.ApiClient().deserialize(SimpleNamespace(data=json.dumps(answer)), "V2beta1Run")


def stage(*names: str, loop: str = "", after: tuple[str, ...] = ()) -> Stage:
    """Return a stage by the names of the tasks on its path; `after` makes the last one an exit task."""
    steps = [PathStep(name, is_loop=name == loop) for name in names[:-1]]
    return Stage(names[-1], {}, (*steps, PathStep(names[-1], names[-1] == loop, after)))


def states(run: V2beta1Run, *stages: Stage) -> list[tuple[str, str]]:
    """Return state and note of each stage."""
    state = normalize_state(run.state)
    terminated = terminated_at(run)
    if state == "failed" and terminated is not None:
        state = "canceled"
    return [(each.state, each.note) for each in stage_states(stages, run, state, terminated)]


NOT_REACHED = ("skipped", "an earlier stage did not succeed")


def test_a_stage_that_was_omitted_after_a_failure_is_skipped_and_not_pending() -> None:
    assert states(read_run("run-failed"), stage("boom"), stage("ok")) == [("failed", ""), NOT_REACHED]


def test_a_stage_that_a_retry_will_run_again_is_pending() -> None:
    assert states(read_run("run-retried"), stage("boom"), stage("ok")) == [("pending", ""), ("pending", "")]


def test_a_retry_is_known_by_what_ended_before_the_history_begins() -> None:
    assert is_retried(read_run("run-retried"))
    assert not is_retried(read_run("run-failed"))
    assert not is_retried(read_run("run-pending"))


def test_a_stage_whose_condition_is_false_is_skipped_while_the_run_goes_on() -> None:
    branches = ("condition-branches-1", "condition-2"), ("condition-branches-1", "condition-3")
    stages = (stage("num"), stage(*branches[0], "num-3"), stage(*branches[1], "num-2"))
    assert states(read_run("run-condition"), *stages) == [
        ("succeeded", ""),
        ("skipped", "its condition is false"),
        ("pending", ""),
    ]


def test_a_stage_whose_driver_has_not_ended_is_pending() -> None:
    assert states(read_run("run-driver-pending"), stage("ok")) == [("pending", "")]


def test_an_importer_after_a_stage_that_failed_is_skipped() -> None:
    (recorded,) = our_answers("run-failed")
    tasks = [task for task in recorded.answer["run_details"]["task_details"] if task["display_name"] != "ok-driver"]
    executor = next(task for task in tasks if task["display_name"] == "executor")
    executor["child_tasks"] = [{"pod_name": node_id("t-exit1-g6k9b", "t-exit1-g6k9b.root.ok")}]
    run = to_run({**recorded.answer, "run_details": {"task_details": tasks}})
    assert states(run, stage("boom"), stage("ok")) == [("failed", ""), NOT_REACHED]


def test_an_exit_task_is_found_below_the_task_that_it_follows() -> None:
    stages = (stage("exit-handler-1", "boom"), stage("final", after=("exit-handler-1",)))
    assert states(read_run("run-exit-task"), *stages) == [("failed", ""), ("pending", "")]


def test_a_stage_whose_result_comes_from_the_cache_is_marked() -> None:
    assert states(read_run("run-cached"), stage("produce"), stage("consume")) == [
        ("succeeded", "from the cache"),
        ("succeeded", "from the cache"),
    ]


@pytest.mark.parametrize(("name", "state"), [("run-pending", "pending"), ("run-without-tasks", "skipped")])
def test_a_run_without_tasks_has_stages(name: str, state: str) -> None:
    assert [each for each, _ in states(read_run(name), stage("ok"))] == [state]


def test_stages_of_one_name_in_different_nested_pipelines_have_their_own_states() -> None:
    (recorded,) = our_answers("run-failed")
    tasks = recorded.answer["run_details"]["task_details"]
    workflow = "t-exit1-g6k9b"
    twin = {
        **next(task for task in tasks if task["display_name"] == "boom"),
        "state": "SUCCEEDED",
        "child_tasks": [{"pod_name": node_id(workflow, f"{workflow}.root.inner.boom.executor")}],
    }
    run = to_run({**recorded.answer, "run_details": {"task_details": [*tasks, twin]}})
    stages = (stage("boom"), stage("inner", "boom"))
    assert [state for state, _ in states(run, *stages)] == ["failed", "succeeded"]
    assert display_names([*stages, stage("ok")]) == ["boom", "inner/boom", "ok"]


def test_a_run_that_was_terminated_has_canceled_stages() -> None:
    (recorded,) = our_answers("run-failed")
    history = recorded.answer["state_history"]
    answer = {
        **recorded.answer,
        "state_history": [*history[:2], {"update_time": "2026-11-28T23:48:45Z", "state": "CANCELING"}, history[2]],
    }
    run = to_run(answer)
    assert terminated_at(run) == datetime.fromisoformat("2026-11-28T23:48:45Z")
    assert states(run, stage("boom"))[0][0] == "canceled"


def test_a_stage_in_a_loop_whose_items_were_omitted_has_no_number_of_items_that_are_done() -> None:
    def node(display_name: str, *children: str, state: str | None = "FAILED") -> dict[str, Any]:
        return {
            "display_name": display_name,
            "state": state,
            "child_tasks": [{"pod_name": node_id("w", child)} for child in children],
        }

    items = [f"w.root.for-loop-1.iteration-iterations({number}:{number})" for number in range(2)]
    tasks = [
        node("w", "w.root-driver"),
        node("root-driver", "w.root", state="SUCCEEDED"),
        node("iteration-iterations", *items),
        *(node("iteration-item-driver", f"{item}.iteration-item") for item in items),
        *(node("iteration-item", state=None) for _ in items),
    ]
    run = to_run({"state": "FAILED", "run_details": {"task_details": tasks}})
    assert states(run, stage("for-loop-1", "learn", loop="for-loop-1")) == [NOT_REACHED]


def test_a_driver_that_failed_is_named() -> None:
    run = read_run("run-failed")
    assert failed_driver(run) == ""
    (driver,) = [task for task in run.run_details.task_details if task.display_name == "boom-driver"]
    driver.state = "FAILED"
    assert failed_driver(run) == "boom-driver"


@pytest.mark.parametrize(
    ("name", "path", "is_driver"),
    [
        ("w", (), False),
        ("w.root-driver", (), True),
        ("w.root.learn.executor", ("learn",), False),
        ("w.root.learn.executor(1)", ("learn",), False),
        ("w.root.learn-driver", ("learn",), True),
        ("w.root.inner.learn.executor", ("inner", "learn"), False),
        ("w.root.executor.executor", ("executor",), False),
        ("w.root.exit-handler-1.onExit.final.executor", ("final",), False),
        ("w.root.exit-handler-1.onExit.final-driver", ("final",), True),
        ("w.root.for-loop-1.iteration-driver", ("for-loop-1",), True),
        ("w.root.for-loop-1.iteration-iterations(1:1).iteration-item-driver", ("for-loop-1",), True),
        (
            "w.root.for-loop-1.iteration-iterations(0:0).iteration-item.learn.executor",
            ("for-loop-1", "learn"),
            False,
        ),
    ],
)
def test_the_name_of_a_node_says_to_which_stage_it_belongs(name: str, path: tuple[str, ...], is_driver: bool) -> None:
    assert parse_node_name(name) == NodePlace(path, is_driver)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("learn", "✓ learn               succeeded"),
        ("a/very/long/path/of/judge", "✓ a/very/long/path/of/judge succeeded"),
    ],
)
def test_a_name_of_any_length_is_apart_from_the_state(name: str, line: str) -> None:
    assert format_stage(StageState(name, "succeeded")) == line

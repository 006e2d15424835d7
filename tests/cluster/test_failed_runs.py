"""Runs that fail, are cancelled, are lost or tried again: what their users read."""

import re
from collections.abc import Iterator

import pytest

from support.live_cluster.commands import KfpEdge, RunningCommand, StartRun
from support.live_cluster.kubectl import apply, kubectl
from support.live_cluster.live_cluster import LiveCluster
from support.live_cluster.settings import RUN_SECONDS, STAGE_SECONDS
from support.live_cluster.small_pipelines import LOG_LINE, REASON, STAGE, SmallPipelines

CONFIG_MAP = "kfp-edge-test-outcome"
LONG = "1800"


def set_outcome(live: LiveCluster, outcome: str) -> None:
    metadata = {"name": CONFIG_MAP, "namespace": live.settings.namespace}
    apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"outcome": outcome}})


@pytest.fixture(scope="module")
def failing(start_run: StartRun, small: SmallPipelines) -> RunningCommand:
    return start_run(small.failing())


@pytest.fixture(scope="module")
def failing_driver(start_run: StartRun, small: SmallPipelines) -> RunningCommand:
    return start_run(small.failing_driver())


@pytest.fixture(scope="module")
def failing_one_of_two(start_run: StartRun, small: SmallPipelines) -> RunningCommand:
    return start_run(small.failing_one_of_two())


@pytest.fixture(scope="module")
def fixable(live: LiveCluster, start_run: StartRun, small: SmallPipelines) -> Iterator[RunningCommand]:
    set_outcome(live, "fails")
    yield start_run(small.failing_until(CONFIG_MAP))
    kubectl("delete", "configmap", CONFIG_MAP, "-n", live.settings.namespace)


@pytest.fixture(scope="module")
def canceled(start_run: StartRun, small: SmallPipelines) -> RunningCommand:
    return start_run(small.sleeping(), "-p", f"seconds={LONG}")


@pytest.fixture(scope="module")
def lost(start_run: StartRun, small: SmallPipelines) -> RunningCommand:
    return start_run(small.sleeping(), "-p", f"seconds={LONG}")


@pytest.fixture
def left(start_run: StartRun, small: SmallPipelines) -> RunningCommand:
    """Started by its test alone: of a run that began with the others, nothing may be left when its turn comes."""
    return start_run(small.sleeping(), "-p", "seconds=45")


@pytest.fixture(scope="module", autouse=True)
def _all_at_once(
    failing: RunningCommand,
    failing_driver: RunningCommand,
    failing_one_of_two: RunningCommand,
    fixable: RunningCommand,
    canceled: RunningCommand,
    lost: RunningCommand,
) -> None:
    """They take their minute at the same time."""


def wait_until_running(command: RunningCommand, live: LiveCluster) -> None:
    command.wait_for(rf"^… {STAGE}\b", live.settings.seconds(STAGE_SECONDS))


def test_a_failed_stage_is_reported_with_its_reason(live: LiveCluster, failing: RunningCommand) -> None:
    assert failing.wait(live.settings.seconds(RUN_SECONDS)) == 1
    assert re.search(rf"^✗ {STAGE} ", failing.output, re.MULTILINE)
    assert f"error: the stage {STAGE} failed: " in failing.output
    assert REASON in failing.output


def test_the_command_for_its_log_works_as_it_is_printed(live: LiveCluster, failing: RunningCommand) -> None:
    failing.wait(live.settings.seconds(RUN_SECONDS))
    command = failing.wait_for(r"`oc (logs [^`]+)` shows its log", 1)[1]
    log = kubectl(*command.split())
    assert LOG_LINE in log
    assert REASON in log


def test_runs_shows_the_reason_later(live: LiveCluster, kfp_edge: KfpEdge, failing: RunningCommand) -> None:
    failing.wait(live.settings.seconds(RUN_SECONDS))
    shown = kfp_edge("runs", failing.run_id)
    assert REASON in shown.output


def test_a_failed_driver_is_reported_with_its_reason(live: LiveCluster, failing_driver: RunningCommand) -> None:
    assert failing_driver.wait(live.settings.seconds(RUN_SECONDS)) == 1
    assert f"error: KFP's driver of the stage {STAGE} failed: " in failing_driver.output
    assert "quantities must match" in failing_driver.output


def test_of_two_stages_with_one_name_the_one_that_failed_is_named(
    live: LiveCluster, failing_one_of_two: RunningCommand
) -> None:
    assert failing_one_of_two.wait(live.settings.seconds(RUN_SECONDS)) == 1
    assert re.search(rf"^✓ left/{STAGE} ", failing_one_of_two.output, re.MULTILINE)
    assert re.search(rf"^✗ right/{STAGE} ", failing_one_of_two.output, re.MULTILINE)
    assert f"error: the stage right/{STAGE} failed: " in failing_one_of_two.output


def test_a_retried_run_runs_what_failed_again(live: LiveCluster, kfp_edge: KfpEdge, fixable: RunningCommand) -> None:
    assert fixable.wait(live.settings.seconds(RUN_SECONDS)) == 1
    set_outcome(live, "works")
    retried = kfp_edge("retry", fixable.run_id, "--wait", seconds=live.settings.seconds(RUN_SECONDS))
    assert retried.code == 0, retried.output
    assert re.search(rf"^✓ {STAGE} ", retried.output, re.MULTILINE)
    assert "succeeded (retried)" in kfp_edge("runs", fixable.run_id).output


def test_ctrl_c_says_that_the_run_goes_on_and_it_does(
    live: LiveCluster, kfp_edge: KfpEdge, left: RunningCommand
) -> None:
    wait_until_running(left, live)
    left.interrupt()
    assert left.wait(live.settings.seconds(60)) == 130
    assert "continues; `kfp-edge runs " in left.output
    assert f"`kfp-edge cancel {left.run_id} " in left.output
    followed = kfp_edge("runs", left.run_id, "--wait", seconds=live.settings.seconds(RUN_SECONDS))
    assert followed.code == 0, followed.output


def test_a_run_is_canceled(live: LiveCluster, kfp_edge: KfpEdge, canceled: RunningCommand) -> None:
    wait_until_running(canceled, live)
    answer = kfp_edge("cancel", canceled.run_id)
    assert answer.code == 0, answer.output
    assert canceled.wait(live.settings.seconds(STAGE_SECONDS)) == 1
    assert "was canceled before it had ended" in canceled.output
    assert re.search(r": canceled$", kfp_edge("runs", canceled.run_id).output, re.MULTILINE)


def test_a_run_whose_workflow_was_deleted_ends_the_wait(
    live: LiveCluster, kfp_edge: KfpEdge, lost: RunningCommand
) -> None:
    wait_until_running(lost, live)
    kubectl("delete", "workflow", "-n", live.settings.namespace, "-l", f"pipeline/runid={lost.run_id}")
    assert lost.wait(live.settings.seconds(STAGE_SECONDS)) == 1
    assert "has no Workflow in the namespace" in lost.output
    assert "has no Workflow in the namespace" in kfp_edge("runs", lost.run_id).output

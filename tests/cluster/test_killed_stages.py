"""Pods of stages that are deleted at each point of a delivery: the exit task removes what they left."""

import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import product
from pathlib import Path

import pytest

from support.live_cluster.commands import RunningCommand, StartRun
from support.live_cluster.delivering import bundle_uri, compile_delivering
from support.live_cluster.killing import KilledRun, kill_stage
from support.live_cluster.live_cluster import LiveCluster, existing_objects
from support.live_cluster.recorder import ObjectRecorder
from support.live_cluster.settings import RUN_SECONDS
from support.live_cluster.story import Story

STAGES = ("containerize", "staging-test", "release", "gitops-commit")
WAYS = ("gracefully", "by force")
KILLS = list(product(STAGES, WAYS))

#: The run of each kill, by stage and way.
KilledRuns = dict[tuple[str, str], Future[KilledRun]]

each_kill = pytest.mark.parametrize("kill", KILLS, ids=[f"{stage}, {way}" for stage, way in KILLS])


@pytest.fixture(scope="module")
def delivering(live: LiveCluster, story: Story, folder: Path) -> Path:
    """The delivery of the bundle of the complete run."""
    if story.command.wait(live.settings.seconds(RUN_SECONDS)) != 0:
        pytest.skip("the run of edge_mlops, whose bundle is delivered again, did not succeed")
    workflow = live.workflow(story.command.run_id)
    assert workflow is not None
    return compile_delivering(folder, bundle_uri(workflow))


@pytest.fixture(scope="module")
def killed(
    live: LiveCluster,
    delivering: Path,
    delivery_parameters: Path,
    recorder: ObjectRecorder,
    start_run: StartRun,
) -> Iterator[KilledRuns]:
    """A run for each kill, some at a time."""

    def kill(stage: str, way: str) -> KilledRun:
        command: RunningCommand = start_run(delivering, "--params", str(delivery_parameters))
        return kill_stage(live, command, stage, by_force=way == "by force")

    with ThreadPoolExecutor(live.settings.parallel_runs) as pool:
        yield {(stage, way): pool.submit(kill, stage, way) for stage, way in KILLS}


@each_kill
def test_the_run_fails_and_says_that_the_pod_was_deleted_or_the_stage_runs_again(
    killed: KilledRuns, kill: tuple[str, str]
) -> None:
    run = killed[kill].result()
    if run.is_restarted or re.search(rf"^✓ {kill[0]} .*attempt", run.output, re.MULTILINE):
        assert run.code == 0, run.output
    else:
        assert run.code == 1, run.output
        # Argo may see how the container ended (SIGTERM) before it sees that the pod is gone
        assert re.search(rf"error: the stage {kill[0]} failed: .*(pod deleted|exit code 143)", run.output)


@each_kill
def test_nothing_is_left_in_the_cluster(live: LiveCluster, killed: KilledRuns, kill: tuple[str, str]) -> None:
    assert live.leftovers(killed[kill].result().run_id) == []


@each_kill
def test_no_build_context_is_left_in_the_object_store(
    live: LiveCluster,
    killed: KilledRuns,
    recorder: ObjectRecorder,
    kill: tuple[str, str],
) -> None:
    if not live.has_tekton:
        pytest.skip("build=append has no build context")
    run = killed[kill].result()
    assert recorder.contexts[run.run_id], "no Secret of the build was seen"
    assert existing_objects(recorder.contexts[run.run_id]) == []

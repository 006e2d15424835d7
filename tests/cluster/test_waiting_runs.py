"""Runs that would wait for ever: `submit` refuses what it can find before, `--wait` and `runs` say what is missing."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.live_cluster.commands import KfpEdge, RunningCommand, StartRun
from support.live_cluster.live_cluster import LiveCluster
from support.live_cluster.settings import PULL_SECONDS, RUN_SECONDS, STAGE_SECONDS
from support.live_cluster.small_pipelines import STAGE, SmallPipelines

#: What a stage waits for, and what is reported about it.
WAITS: dict[str, tuple[Callable[[SmallPipelines], Path], str]] = {
    "image that cannot be pulled": (SmallPipelines.unknown_image, r"(ErrImagePull|ImagePullBackOff): .*absent"),
    "node": (SmallPipelines.no_node, r"Unschedulable: .*node"),
    "Secret": (SmallPipelines.missing_secret, r"secret \"kfp-edge-test-absent\" not found"),
    "ConfigMap": (SmallPipelines.missing_config_map, r"configmap \"kfp-edge-test-absent\" not found"),
    "claim": (SmallPipelines.missing_claim, r"persistentvolumeclaim \"kfp-edge-test-absent\" not found"),
}
#: What is missing in the namespace, so that `submit` refuses the run.
REFUSED = ("Secret", "ConfigMap", "claim")

waiting_for = pytest.mark.parametrize("what", WAITS)


@pytest.fixture(scope="module")
def waiting(
    live: LiveCluster, kfp_edge: KfpEdge, server_command: KfpEdge, start_run: StartRun, small: SmallPipelines
) -> Iterator[dict[str, RunningCommand]]:
    """A run for each, all at once; they are cancelled at the end."""
    commands = {what: start_run(make(small), command=server_command) for what, (make, _) in WAITS.items()}
    yield commands
    for command in commands.values():
        if command.process.poll() is None:
            kfp_edge("cancel", command.run_id)


@waiting_for
def test_the_followed_run_says_what_it_waits_for(
    live: LiveCluster, waiting: dict[str, RunningCommand], what: str
) -> None:
    pattern = rf"^\? the stage {STAGE} waits: .*{WAITS[what][1]}"
    waiting[what].wait_for(pattern, live.settings.seconds(STAGE_SECONDS + PULL_SECONDS))


@waiting_for
def test_runs_says_what_it_waits_for(
    live: LiveCluster, kfp_edge: KfpEdge, waiting: dict[str, RunningCommand], what: str
) -> None:
    pattern = rf"the stage {STAGE} waits: .*{WAITS[what][1]}"
    waiting[what].wait_for(pattern, live.settings.seconds(STAGE_SECONDS + PULL_SECONDS))
    shown = kfp_edge("runs", waiting[what].run_id)
    assert re.search(pattern, shown.output), shown.output


@waiting_for
def test_a_canceled_run_has_no_stage_that_failed(
    live: LiveCluster, kfp_edge: KfpEdge, waiting: dict[str, RunningCommand], what: str
) -> None:
    command = waiting[what]
    command.wait_for(r"^\? ", live.settings.seconds(STAGE_SECONDS + PULL_SECONDS))
    assert kfp_edge("cancel", command.run_id).code == 0
    assert command.wait(live.settings.seconds(STAGE_SECONDS)) == 1
    assert "was canceled before it had ended" in command.output
    assert re.search(rf"^■ {STAGE} ", command.output, re.MULTILINE), command.output


@pytest.mark.parametrize("what", REFUSED)
def test_submit_refuses_a_run_without_what_it_needs(
    live: LiveCluster, kfp_edge: KfpEdge, small: SmallPipelines, what: str
) -> None:
    if live.settings.host:
        pytest.skip("with the address of a server, submit only warns; it refuses where a DSPA names the server")
    make, _ = WAITS[what]
    refused = kfp_edge("submit", str(make(small)), seconds=live.settings.seconds(RUN_SECONDS))
    assert refused.code == 1
    assert "the run is not started" in refused.output
    assert "kfp-edge-test-absent" in refused.output

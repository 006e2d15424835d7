"""Deleting the pod of a stage while it works."""

import logging
import time
from dataclasses import dataclass

from kfp_edge.kubernetes.pods import has_started
from support.live_cluster.commands import RunningCommand
from support.live_cluster.kubectl import kubectl
from support.live_cluster.live_cluster import LiveCluster
from support.live_cluster.recorder import ObjectRecorder
from support.live_cluster.settings import RUN_SECONDS

_POLL_SECONDS = 0.3
#: What a stage has created when it is in the middle of its work, where that can be seen.
_MIDDLE = {"containerize": "TaskRun", "staging-test": "Deployment"}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class KilledRun:
    """A run of which a pod was deleted, and how it ended."""

    run_id: str
    code: int
    output: str


def kill_stage(
    live: LiveCluster, recorder: ObjectRecorder, command: RunningCommand, stage: str, *, by_force: bool
) -> KilledRun:
    """Delete the pod of a stage of a run in the middle of its work, and wait for the end of the run.

    Raises:
        AssertionError: the stage has not started, or the run has not ended, in time.
    """
    run_id = command.run_id
    pod = _wait_for_middle(live, recorder, command, stage)
    force = ["--grace-period=0", "--force"] if by_force else []
    logger.info("deleting the pod of %s of the run %s", stage, run_id)
    kubectl("delete", "pod", pod, "-n", live.settings.namespace, "--wait=false", *force)
    code = command.wait(live.settings.seconds(RUN_SECONDS))
    return KilledRun(run_id, code, command.output)


def _wait_for_middle(live: LiveCluster, recorder: ObjectRecorder, command: RunningCommand, stage: str) -> str:
    deadline = time.monotonic() + live.settings.seconds(RUN_SECONDS)
    needed = _MIDDLE.get(stage) if live.has_tekton or stage != "containerize" else None
    while time.monotonic() < deadline:
        pod = live.stage_pod(command.run_id, stage)
        if pod is not None and has_started(pod) and (needed is None or needed in recorder.kinds[command.run_id]):
            return str(pod["metadata"]["name"])
        assert command.process.poll() is None, f"the run has ended before {stage} was deleted:\n{command.output}"
        time.sleep(_POLL_SECONDS)
    raise AssertionError(f"{stage} has not started in time:\n{command.output}")

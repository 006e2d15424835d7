"""Run a compiled pipeline on this machine and tell what happened, stage by stage."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Literal

from kfp_edge.errors import KfpEdgeError
from kfp_edge.local import workspace
from kfp_edge.runtime.stage import LOG_PREFIX
from kfp_edge.spec.compiled_pipeline import CompiledPipeline
from kfp_edge.storage.files import canonical_json, write_file

Status = Literal["running", "succeeded", "failed", "interrupted"]

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
#: How kfp.local tells what it does (kfp/local/task_dispatcher.py).
_STARTED = re.compile(r" - INFO - Executing task '([^']+)'$")
_TOLD = re.compile(re.escape(LOG_PREFIX) + r' (\{"stage": .*\})$')
_FINISHED = re.compile(r" - (?:INFO|ERROR) - Task '([^']+)' finished with status SUCCESS$")


@dataclass
class StageRun:
    """One stage of a run: `seconds` on the wall, of which `work_seconds` inside the stage's own code."""

    name: str
    status: Status = "running"
    seconds: float = 0.0
    work_seconds: float | None = None


@dataclass
class RunProgress:
    """What a run has done so far; `error` is the one sentence that a failure comes down to."""

    pipeline: str
    status: Status = "running"
    seconds: float = 0.0
    stages: list[StageRun] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    error: str | None = None


def run(
    pipeline: CompiledPipeline,
    arguments: Mapping[str, Any],
    folder: Path,
    tell: Callable[[RunProgress], None] = lambda _: None,
) -> RunProgress:
    """Run a pipeline under `kfp.local`; its artifacts go to `folder/artifacts`, its log to `folder/logs/run.log`.

    Args:
        arguments: As `CompiledPipeline.arguments` returns them.
        tell: Called whenever a stage has begun or ended.

    Raises:
        KfpEdgeError: the pipeline is not one for this machine (`CompiledPipeline.check_local`).

    Returns:
        The finished run: succeeded, failed or interrupted. After SIGINT or SIGTERM the stage that runs is
        interrupted, cleans up, and nothing of the run is left.
    """
    pipeline.check_local()
    files = {name: folder / name for name in ("pipeline.yaml", "parameters.json", "outputs.json")}
    write_file(files["pipeline.yaml"], pipeline.text.encode())
    write_file(files["parameters.json"], canonical_json(dict(arguments)))
    command = [sys.executable, "-m", "kfp_edge.local.worker", *map(str, list(files.values())[:2])]
    command += [str(folder / "artifacts"), str(files["outputs.json"])]
    found = RunProgress(pipeline.name)
    start = time.perf_counter()
    log = folder / "logs" / "run.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as lines, _worker(command) as (worker, interrupted):
        assert worker.stdout is not None
        for raw in worker.stdout:
            line = _COLOUR.sub("", raw.rstrip())
            print(line, file=lines, flush=True)
            if _follow(found, line):
                tell(found)
        failed = worker.wait() != 0
    found.seconds = round(time.perf_counter() - start, 3)
    found.status = "interrupted" if interrupted else "failed" if failed else "succeeded"
    _conclude(found, log)
    if found.status == "succeeded":
        found.outputs = json.loads(files["outputs.json"].read_text())
    tell(found)
    return found


def _follow(found: RunProgress, line: str) -> bool:
    """Take in one line of the log; say whether the run has moved on."""
    if started := _STARTED.search(line):
        found.stages.append(StageRun(started[1], seconds=-time.perf_counter()))
    elif finished := _FINISHED.search(line):
        stage = next(stage for stage in reversed(found.stages) if stage.name == finished[1])
        _end(stage, "succeeded")
    elif said := _TOLD.search(line):
        _take_in(found, json.loads(said[1]))
        return False
    else:
        return False
    return True


def _take_in(found: RunProgress, said: dict[str, Any]) -> None:
    """Give what a stage told of itself to its task; of tasks that run at the same time, to the one named alike."""
    running = [stage for stage in found.stages if stage.status == "running"]
    alike = [stage for stage in running if stage.name.startswith(said["stage"].replace("_", "-"))]
    for stage in (alike or running)[-1:]:
        stage.work_seconds = said["seconds"]
    found.error = said.get("error", found.error)


def _end(stage: StageRun, status: Status) -> None:
    stage.seconds = round(stage.seconds + time.perf_counter(), 3)
    stage.status = status


def _conclude(found: RunProgress, log: Path) -> None:
    for stage in found.stages:
        if stage.status == "running":
            _end(stage, found.status)
    if found.status == "interrupted":
        found.error = "the run was interrupted; nothing of it is left running."
    elif found.status == "failed" and found.error is None:
        found.error = f"it failed unexpectedly; the end of {log} shows why."


@contextmanager
def _worker(command: list[str]) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """Start the worker out of reach of the terminal's Ctrl-C, pass interrupts on to it, and wait for its end."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "SOURCE_DATE_EPOCH": workspace.source_date_epoch()}
    received: list[int] = []
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environment,
        start_new_session=True,
    ) as worker:

        def pass_on(signum: int, frame: FrameType | None) -> None:
            received.append(signum)
            worker.send_signal(signal.SIGINT)

        before = {signum: signal.signal(signum, pass_on) for signum in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield worker, received
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)


def refuse_failed(found: RunProgress) -> None:
    """Raise for a run that did not succeed.

    Raises:
        KfpEdgeError: the sentence that the failure comes down to, with the stage's name.
    """
    if found.status != "succeeded":
        failed = [stage.name for stage in found.stages if stage.status == "failed"]
        raise KfpEdgeError(f"{failed[-1] if failed else found.pipeline}: {found.error}")

"""Run a compiled pipeline on this machine and follow its progress, stage by stage."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Literal
from urllib.parse import urlsplit

from kfp_edge.local import workspace
from kfp_edge.runtime.process import redact
from kfp_edge.runtime.stage import LOG_PREFIX
from kfp_edge.spec.compiled_pipeline import CompiledPipeline
from kfp_edge.storage.files import canonical_json, write_file
from kfp_edge.storage.urls import url_scheme

Status = Literal["running", "succeeded", "failed", "interrupted"]

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
#: The log messages of kfp.local (kfp/local/task_dispatcher.py), and the line that each of our stages logs.
_TASK_STARTED = re.compile(r" - INFO - Executing task '([^']+)'$")
_STAGE_RESULT = re.compile(re.escape(LOG_PREFIX) + r' (\{"stage": .*\})$')
_STAGE_STEP = re.compile(re.escape(LOG_PREFIX) + r" ([^{].*)$")
_TASK_ENDED = re.compile(r" - (?:INFO|ERROR) - Task '([^']+)' finished with status (SUCCESS|FAILURE)$")


@dataclass
class StageRun:
    """One stage of a run.

    `seconds` is its duration, once it has ended; `work_seconds` of them were spent in the stage's own code.
    """

    name: str
    status: Status = "running"
    seconds: float = 0.0
    work_seconds: float | None = None


@dataclass
class RunProgress:
    """The progress of a run.

    Attributes:
        pipeline: the pipeline's name.
        stage_count: how many stages the pipeline has.
        status: "running" until the run has ended.
        seconds: the duration of the run, once it has ended.
        stages: the stages that have started, in that order.
        step: what the running stage did last where it takes long, such as `trial 4 of 10`; "" where that is not known.
        start_times: when each of them started, in seconds of `time.perf_counter`.
        warnings: what the stages warn of, each warning once.
        outputs: the output parameters of the pipeline, once it has succeeded.
        error: why the run failed, in one sentence.
    """

    pipeline: str
    stage_count: int
    status: Status = "running"
    seconds: float = 0.0
    stages: list[StageRun] = field(default_factory=list)
    step: str = ""
    start_times: list[float] = field(default_factory=list, repr=False)
    warnings: list[str] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    error: str | None = None


def run(
    pipeline: CompiledPipeline,
    arguments: Mapping[str, Any],
    folder: Path,
    on_progress: Callable[[RunProgress], None] = lambda _: None,
    fork_server: socket.socket | None = None,
) -> RunProgress:
    """Run a pipeline under `kfp.local`; its artifacts go to `folder/artifacts`, its log to `folder/logs/run.log`.

    Args:
        pipeline: The pipeline to run.
        arguments: Parameter values as `CompiledPipeline.arguments` returns them.
        folder: The folder for what the run leaves.
        on_progress: Called whenever a stage has started, has logged a step, or has ended.
        fork_server: The connection to a fork server, which starts the stages of kfp-edge; without one, each of them
            starts Python and imports its libraries itself.

    Returns:
        The finished run: succeeded, failed or interrupted. After a failure exit tasks run, and its error is that of
        the stage that failed first. After SIGINT or SIGTERM the running stage is interrupted and cleans up, no other
        stage starts, not even an exit task, and no process of the run remains.
    """
    secrets = tuple(_find_secrets(dict(arguments)))
    files = {name: folder / name for name in ("pipeline.yaml", "parameters.json", "outputs.json")}
    write_file(files["pipeline.yaml"], pipeline.text.encode())
    parameters = canonical_json(dict(arguments)).decode()
    write_file(files["parameters.json"], redact(parameters, secrets).encode())
    progress = RunProgress(pipeline.name, len(pipeline.stages))
    start = time.perf_counter()
    log_path = folder / "logs" / "run.log"
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with (
        log_path.open("w", encoding="utf-8") as log,
        _private_file(parameters) as private_parameters,
        _start_worker(
            [str(files["pipeline.yaml"]), private_parameters, str(folder / "artifacts"), str(files["outputs.json"])],
            fork_server,
        ) as (worker, received_signals),
    ):
        assert worker.stdout is not None
        for raw_line in worker.stdout:
            line = redact(_COLOUR.sub("", raw_line.rstrip()), secrets)
            print(line, file=log, flush=True)
            if _parse_log_line(progress, line, is_interrupted=bool(received_signals)):
                on_progress(progress)
        failed = worker.wait() != 0
    progress.seconds = round(time.perf_counter() - start, 3)
    progress.status = "interrupted" if received_signals else "failed" if failed else "succeeded"
    _finish(progress, log_path)
    if progress.status == "succeeded":
        progress.outputs = json.loads(files["outputs.json"].read_text())
    on_progress(progress)
    return progress


def _find_secrets(value: object) -> Iterator[str]:
    """Yield the queries of the web addresses in a value: those of signed URLs give access to everybody."""
    match value:
        case str() if url_scheme(value) in ("http", "https"):
            yield from filter(None, [urlsplit(value).query])
        case list():
            for item in value:
                yield from _find_secrets(item)
        case dict():
            for item in value.values():
                yield from _find_secrets(item)


@contextmanager
def _private_file(text: str) -> Iterator[str]:
    """Yield the name of a file that only its owner can read, and that is removed at the end."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", prefix="kfp-edge-", suffix=".json") as file:
        file.write(text)
        file.flush()
        yield file.name


def _parse_log_line(progress: RunProgress, line: str, *, is_interrupted: bool) -> bool:
    """Update the progress from one line of the log; return whether a stage has started, made a step or ended."""
    if started := _TASK_STARTED.search(line):
        progress.stages.append(StageRun(started[1]))
        progress.start_times.append(time.perf_counter())
    elif ended := _TASK_ENDED.search(line):
        names = [stage.name if stage.status == "running" else "" for stage in progress.stages]
        _end_stage(
            progress,
            names.index(ended[1]),
            "succeeded" if ended[2] == "SUCCESS" else "interrupted" if is_interrupted else "failed",
        )
    elif result := _STAGE_RESULT.search(line):
        _apply_stage_result(progress, json.loads(result[1]))
        return False
    elif step := _STAGE_STEP.search(line):
        if sum(stage.status == "running" for stage in progress.stages) != 1:  # the line does not say whose step it is
            return False
        progress.step = step[1]
    else:
        return False
    return True


def _apply_stage_result(progress: RunProgress, result: dict[str, Any]) -> None:
    """Assign what a stage logged to its task; if several run at the same time, to the one with the stage's name."""
    running = [stage for stage in progress.stages if stage.status == "running"]
    matching = [stage for stage in running if stage.name.startswith(result["stage"].replace("_", "-"))]
    for stage in (matching or running)[-1:]:
        stage.work_seconds = result.get("seconds")
    progress.warnings += [warning for warning in result.get("warnings", ()) if warning not in progress.warnings]
    if all(stage.status != "failed" for stage in progress.stages):  # not of an exit task that fails after it
        progress.error = result.get("error", progress.error)


def _end_stage(progress: RunProgress, index: int, status: Status) -> None:
    progress.step = ""
    stage = progress.stages[index]
    stage.seconds = round(time.perf_counter() - progress.start_times[index], 3)
    stage.status = status


def _finish(progress: RunProgress, log_path: Path) -> None:
    for index, stage in enumerate(progress.stages):
        if stage.status == "running":
            _end_stage(progress, index, progress.status)
    if progress.status == "interrupted":
        progress.error = "the run was interrupted; none of its processes is left."
    elif progress.status == "failed" and progress.error is None:
        progress.error = f"it failed unexpectedly; {log_path} shows why."


@contextmanager
def _start_worker(
    arguments: list[str], fork_server: socket.socket | None
) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """Start the worker in a session of its own, where Ctrl-C does not reach it, and pass interrupts on to it.

    Yields:
        The worker, and the signals that were passed on to it.
    """
    command = [sys.executable, "-m", "kfp_edge.local.worker", *arguments]
    command += [str(fork_server.fileno())] if fork_server is not None else []
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "SOURCE_DATE_EPOCH": workspace.source_date_epoch()}
    received_signals: list[int] = []
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environment,
        pass_fds=[fork_server.fileno()] if fork_server is not None else [],
        start_new_session=True,
    ) as worker:

        def pass_on(signum: int, frame: FrameType | None) -> None:
            received_signals.append(signum)
            worker.send_signal(signal.SIGINT)

        previous = {signum: signal.signal(signum, pass_on) for signum in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield worker, received_signals
        finally:
            for signum, handler in previous.items():
                signal.signal(signum, handler)

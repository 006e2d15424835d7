"""The process in which `kfp.local` runs a compiled pipeline.

python -m kfp_edge.local.worker YAML PARAMETERS ROOT OUTPUTS [FD]

It is a separate process because `kfp.local` prints to stdout, replaces `print` and ends by raising an exception.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

import yaml
from kfp import components, local
from kfp.dsl.base_component import BaseComponent
from kfp.dsl.utils import sanitize_component_name
from kfp.local import logging_utils, subprocess_task_handler

from kfp_edge.local import dag_runner
from kfp_edge.local.fork_client import ForkedStage, is_forkable
from kfp_edge.runtime.stage import LOG_PREFIX

#: Seconds that an interrupted stage has to clean up before it is killed.
GRACE_PERIOD_SECONDS = 60
#: Before the lines of a stage in the log.
_INDENT = "    "
#: A shell adds it to the number of the signal that ended its program.
_SHELL_SIGNAL_BASE = 128
#: What ends a process without a word from it.
_FATAL_SIGNALS = (signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGKILL, signal.SIGSEGV)


class StageProcesses:
    """The running stages, each in a process group of its own, so that an interrupt reaches all its processes once.

    kfp.local would leave its stage running, or start the next one; an interrupt can arrive at any moment.

    Args:
        fork_server: The connection to the fork server; without it, every stage starts Python anew.
    """

    def __init__(self, fork_server: socket.socket | None = None) -> None:
        self._fork_server = fork_server
        self._running: set[subprocess.Popen[str] | ForkedStage] = set()
        self._interrupted = False

    def run(self, full_command: list[str], env_vars: Mapping[str, str] | None = None) -> int:
        """Run a stage's command, forward its output, and return its exit code.

        Args:
            full_command: As kfp.local builds it.
            env_vars: Environment variables that the component sets (kfp.local from 2.17 on).
        """
        if self._interrupted:
            return 130
        stage = self._start(full_command, {**os.environ, **(env_vars or {})})
        self._running.add(stage)
        if self._interrupted:  # it arrived while the stage was starting
            self._signal(signal.SIGINT)
        assert stage.stdout is not None
        for line in stage.stdout:
            print(f"{_INDENT}{line}", end="")
        code = stage.wait()
        stage.stdout.close()
        self._running.discard(stage)
        if self._interrupted:
            return 130
        if reason := _fatal_signal(code):
            name = _stage_name(full_command)
            print(_INDENT + LOG_PREFIX, json.dumps({"stage": name, "error": f"the stage was ended by {reason}."}))
        return code

    def _start(self, full_command: list[str], environment: dict[str, str]) -> subprocess.Popen[str] | ForkedStage:
        if self._fork_server is not None and is_forkable(full_command):
            with contextlib.suppress(OSError):  # the server has ended: the stage starts Python itself
                return ForkedStage(self._fork_server, full_command, environment)
        return subprocess.Popen(
            full_command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment,
            process_group=0,
        )

    def is_interrupted(self) -> bool:
        """Whether an interrupt has arrived, so that no further stage may start."""
        return self._interrupted

    def interrupt(self, signum: int, frame: FrameType | None) -> None:
        """Interrupt every stage, once: a second interrupt would disturb the clean-up."""
        if not self._interrupted:
            self._interrupted = True
            signal.alarm(GRACE_PERIOD_SECONDS)
            self._signal(signal.SIGINT)

    def kill(self, signum: int, frame: FrameType | None) -> None:
        """Kill the stages that did not clean up in time."""
        self._signal(signal.SIGKILL)

    def _signal(self, signum: int) -> None:
        for stage in tuple(self._running):
            if stage.returncode is None:
                with contextlib.suppress(ProcessLookupError):  # it has just ended
                    os.killpg(stage.pid, signum)


def _stage_name(full_command: list[str]) -> str:
    """Return the name of the function that a command runs; of stages that share a process, what runs them."""
    flag = "--function_to_execute"
    return full_command[full_command.index(flag) + 1] if flag in full_command else full_command[2]


def _fatal_signal(code: int) -> str:
    """Return the signal that ended a stage, by its exit code or that of the shell around it; empty if none did."""
    number = -code if code < 0 else code - _SHELL_SIGNAL_BASE
    if number == signal.SIGKILL:
        return "SIGKILL; Linux does so when memory runs out: use fewer rows, or a machine with more memory"
    return signal.Signals(number).name if number in _FATAL_SIGNALS else ""


def load_pipeline(path: Path) -> BaseComponent:
    """Load a compiled pipeline.

    KFP takes a pipeline that has a component of its own name for that component, with its inputs and without the
    defaults of the pipeline. So it gets a name here that no component has.
    """
    specification, *platforms = yaml.safe_load_all(path.read_text(encoding="utf-8"))
    info = specification["pipelineInfo"]
    if sanitize_component_name(info["name"]) in specification["components"]:
        info["name"] += "-pipeline"
    return components.load_component_from_text(yaml.safe_dump_all([specification, *platforms]))


def main(pipeline: str, parameters: str, root: str, outputs: str, fork_server: str = "") -> None:
    """Run a pipeline.

    Args:
        pipeline: The YAML file.
        parameters: The JSON file with its parameters.
        root: The folder for the artifacts.
        outputs: The JSON file to which the output parameters are written.
        fork_server: The file descriptor of the connection to the fork server; empty if there is none.
    """
    stages = StageProcesses(socket.socket(fileno=int(fork_server)) if fork_server else None)
    signal.signal(signal.SIGINT, stages.interrupt)
    signal.signal(signal.SIGALRM, stages.kill)
    subprocess_task_handler.run_local_subprocess = stages.run
    dag_runner.install(stages.is_interrupted)
    # Our runtime image is Python, though its name does not say so.
    warnings.filterwarnings("ignore", "You may be attemping to run a task", RuntimeWarning)
    local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root=root, raise_on_error=True)
    with logging_utils.local_logger_context():
        # Loops run stages in threads, and kfp.local would change the handlers of the log and `print` for each stage.
        logging_utils.local_logger_context = logging_utils.indented_print = contextlib.nullcontext
        task = load_pipeline(Path(pipeline))(**json.loads(Path(parameters).read_text()))
    output_parameters = {
        name: value for name, value in task.outputs.items() if isinstance(value, str | int | float | bool)
    }
    Path(outputs).write_text(json.dumps(output_parameters))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except RuntimeError as failure:  # kfp.local raises it when a task failed
        sys.exit(f"error: {failure}")

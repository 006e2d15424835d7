"""The process in which `kfp.local` runs a compiled pipeline: python -m kfp_edge.local.worker YAML PARAMS ROOT OUTPUTS.

It is a separate process because `kfp.local` prints to stdout, replaces `print` and ends by raising an exception.
"""

import json
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from types import FrameType

from kfp import components, local
from kfp.local import subprocess_task_handler

#: Seconds that an interrupted stage has to clean up before it is killed.
GRACE_PERIOD_SECONDS = 60


class StageProcesses:
    """The running stages, each in a process group of its own, so that an interrupt reaches all its processes once.

    kfp.local would leave its stage running, or start the next one; an interrupt can arrive at any moment.
    """

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[str]] = set()
        self._interrupted = False

    def run(self, full_command: list[str]) -> int:
        """Run a stage's command, forward its output, and return its exit code."""
        if self._interrupted:
            return 130
        with subprocess.Popen(
            full_command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", process_group=0
        ) as stage:
            self._running.add(stage)
            if self._interrupted:  # it arrived while the stage was starting
                self._signal(signal.SIGINT)
            assert stage.stdout is not None
            for line in stage.stdout:
                print(line, end="")
            code = stage.wait()
            self._running.discard(stage)
            return 130 if self._interrupted else code

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
        for stage in self._running:
            if stage.poll() is None:
                os.killpg(stage.pid, signum)


def main(pipeline: str, parameters: str, root: str, outputs: str) -> None:
    """Run the pipeline in the YAML file with the parameters in the JSON file; write its output parameters as JSON."""
    stages = StageProcesses()
    signal.signal(signal.SIGINT, stages.interrupt)
    signal.signal(signal.SIGALRM, stages.kill)
    subprocess_task_handler.run_local_subprocess = stages.run
    # Our runtime image is Python, though its name does not say so.
    warnings.filterwarnings("ignore", "You may be attemping to run a task", RuntimeWarning)
    local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root=root, raise_on_error=True)
    task = components.load_component_from_file(pipeline)(**json.loads(Path(parameters).read_text()))
    output_parameters = {
        name: value for name, value in task.outputs.items() if isinstance(value, str | int | float | bool)
    }
    Path(outputs).write_text(json.dumps(output_parameters))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except RuntimeError as failure:  # kfp.local raises it when a task failed
        sys.exit(f"error: {failure}")

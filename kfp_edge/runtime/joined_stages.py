"""Runs several stages in one container, one after another; what `kfp_edge.spec.compiling.joined_stages` makes tasks of.

python -m kfp_edge.runtime.joined_stages PLAN EXECUTOR_INPUT
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from kfp_edge.runtime.signals import interrupt_on_sigterm
from kfp_edge.runtime.stage import log_progress
from kfp_edge.storage.files import JsonObject, write_file

#: Between a stage and the name of its output, in the outputs of the task.
SEPARATOR = "--"
#: Stands in a command for the executor input of the stage.
EXECUTOR_INPUT = "EXECUTOR_INPUT"
#: An input of the task itself, in place of the stage that produced it.
TASK_INPUT = ""
#: A shell adds it to the number of the signal that ended its program.
_SHELL_SIGNAL_BASE = 128

#: Where an input of a stage comes from: the stage that produced it or `TASK_INPUT`, and its name there.
Source = tuple[str, str]


@dataclass(frozen=True)
class StagePlan:
    """One of the stages of a task.

    Attributes:
        name: The name of the stage.
        command: Its command and arguments; `EXECUTOR_INPUT` stands for what KFP tells the stage about its run.
        parameters: The source of each input parameter by its name.
        artifacts: The source of each input artifact by its name.
        waits: Seconds to wait before each of the retries after a failure; none for a stage that is not retried.
    """

    name: str
    command: list[str]
    parameters: dict[str, Source] = field(default_factory=dict)
    artifacts: dict[str, Source] = field(default_factory=dict)
    waits: list[float] = field(default_factory=list)


def write_plan(stages: list[StagePlan]) -> str:
    """Return the plan as the argument of the command line."""
    return json.dumps([asdict(stage) for stage in stages], sort_keys=True)


class JoinedStages:
    """The stages of one task, and what those that have run produced.

    Args:
        executor_input: What KFP tells the task about its run: values and artifacts of its inputs, paths of its
            outputs (message `ExecutorInput` of the pipeline spec).
    """

    def __init__(self, executor_input: JsonObject) -> None:
        inputs = executor_input.get("inputs", {})
        self._outputs: JsonObject = executor_input.get("outputs", {})
        self._values: dict[str, Mapping[str, Any]] = {TASK_INPUT: inputs.get("parameterValues", {})}
        self._artifacts: dict[str, Mapping[str, Any]] = {TASK_INPUT: inputs.get("artifacts", {})}

    def run(self, stage: StagePlan) -> int:
        """Run a stage, and return its exit code."""
        with tempfile.TemporaryDirectory() as folder:
            output_file = Path(folder, "executor_output.json")
            stage_input = self._input_of(stage, output_file)
            code = _run_with_retries(stage, json.dumps(stage_input))
            if code == 0:
                produced = json.loads(output_file.read_text()) if output_file.exists() else {}
                self._values[stage.name] = produced.get("parameterValues", {})
                self._artifacts[stage.name] = _complete(stage_input["outputs"]["artifacts"], produced)
        return code

    def write_output(self) -> None:
        """Write what all stages produced to where KFP reads it (message `ExecutorOutput`)."""
        output = {"parameterValues": _joined(self._values), "artifacts": _joined(self._artifacts)}
        write_file(Path(self._outputs["outputFile"]), json.dumps(output).encode())

    def _input_of(self, stage: StagePlan, output_file: Path) -> JsonObject:
        prefix = stage.name + SEPARATOR
        expected = {
            kind: {key.removeprefix(prefix): output for key, output in items.items() if key.startswith(prefix)}
            for kind, items in self._outputs.items()
            if isinstance(items, dict)
        }
        return {
            "inputs": {
                "parameterValues": _take(stage.parameters, self._values),
                "artifacts": _take(stage.artifacts, self._artifacts),
            },
            "outputs": {"parameters": {}, "artifacts": {}, **expected, "outputFile": str(output_file)},
        }


def _take(sources: Mapping[str, Source], available: Mapping[str, Mapping[str, Any]]) -> JsonObject:
    """Return the inputs of a stage; an optional one that has no value is left out, as KFP leaves it out."""
    return {name: available[stage][key] for name, (stage, key) in sources.items() if key in available[stage]}


def _complete(expected: Mapping[str, Any], produced: JsonObject) -> JsonObject:
    """Return the output artifacts of a stage with the metadata that it has set."""
    written = produced.get("artifacts", {})
    return {
        name: {"artifacts": [{**artifact, **written.get(name, {}).get("artifacts", [{}])[0]}]}
        for name, output in expected.items()
        for artifact in output["artifacts"]
    }


def _joined(produced: Mapping[str, Mapping[str, Any]]) -> JsonObject:
    return {
        f"{stage}{SEPARATOR}{name}": value
        for stage, items in produced.items()
        if stage != TASK_INPUT
        for name, value in items.items()
    }


def _run_with_retries(stage: StagePlan, stage_input: str) -> int:
    command = [stage_input if part == EXECUTOR_INPUT else part for part in stage.command]
    code = _run_command(command)
    for number, seconds in enumerate(stage.waits, start=1):
        if code == 0:
            break
        log_progress(f"{stage.name} failed; retry {number} of {len(stage.waits)} in {seconds:g} s")
        time.sleep(seconds)
        code = _run_command(command)
    return code


def _run_command(command: list[str]) -> int:
    """Run a stage in a process group of its own, to which an interrupt is passed on once; return its exit code."""
    # the stages run the Python that runs this
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    with subprocess.Popen(command, env=environment, process_group=0) as process:
        try:
            code = process.wait()
        except KeyboardInterrupt:
            os.killpg(process.pid, signal.SIGINT)
            process.wait()
            raise
    return code if code >= 0 else _SHELL_SIGNAL_BASE - code


def main(plan: str, executor_input: str) -> None:
    """Run the stages of a plan until one fails.

    Raises:
        SystemExit: with the exit code of the stage that failed, or with code 130 when it was interrupted.
    """
    joined = JoinedStages(json.loads(executor_input))
    try:
        with interrupt_on_sigterm():
            for stage in json.loads(plan):
                if code := joined.run(StagePlan(**stage)):
                    raise SystemExit(code)
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    joined.write_output()


if __name__ == "__main__":
    main(*sys.argv[1:])

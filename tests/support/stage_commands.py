"""The commands with which kfp.local starts the stages of a pipeline."""

import json
import sys
from pathlib import Path

from kfp.dsl.base_component import BaseComponent
from kfp.local.subprocess_task_handler import replace_python_executable


def stage_command(component: BaseComponent, folder: Path, **parameters: object) -> list[str]:
    """Return the command of a component that has nothing but parameters; its output is written to `folder`."""
    outputs = {"outputFile": str(folder / "executor_output.json")}
    executor_input = json.dumps({"inputs": {"parameterValues": parameters}, "outputs": outputs})
    container = component.component_spec.implementation.container
    words = [executor_input if word == "{{$}}" else str(word) for word in [*container.command, *container.args]]
    return replace_python_executable(words, sys.executable)

"""The process in which `kfp.local` runs a compiled pipeline: python -m kfp_edge.local.worker YAML PARAMS ROOT OUTPUTS.

It is a process of its own because `kfp.local` prints to stdout, replaces `print` and ends by raising; and because
its process group can then be interrupted as one.
"""

import json
import signal
import sys
import warnings
from pathlib import Path
from types import FrameType

from kfp import components, local


def main(pipeline: str, parameters: str, root: str, outputs: str) -> None:
    """Run the pipeline in the YAML file with the parameters in the JSON file; write its output parameters as JSON."""
    # The stage that runs gets the interrupt too, cleans up and fails; then kfp.local ends by itself.
    signal.signal(signal.SIGINT, _let_the_stage_end)
    # Our runtime image is Python, though its name does not say so.
    warnings.filterwarnings("ignore", "You may be attemping to run a task", RuntimeWarning)
    local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root=root, raise_on_error=True)
    task = components.load_component_from_file(pipeline)(**json.loads(Path(parameters).read_text()))
    plain = {name: value for name, value in task.outputs.items() if isinstance(value, str | int | float | bool)}
    Path(outputs).write_text(json.dumps(plain))


def _let_the_stage_end(signum: int, frame: FrameType | None) -> None:
    return


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except RuntimeError as failure:  # how kfp.local says that a task failed
        sys.exit(f"error: {failure}")

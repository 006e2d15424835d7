"""Helpers to run notebooks in a new kernel. As a program, it strips the outputs of all notebooks for git."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from traitlets.config import Config

from kfp_edge.spec.compiled_pipeline import CompiledPipeline
from support.cluster import pipeline_application
from support.fake_kfp import FakeKfp
from support.fake_kfp.store import NAMESPACE, JsonObject, Store
from support.fake_kubernetes import FakeKubernetes

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))

_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
#: What a run leaves next to a notebook.
_IGNORED = (".kfp-edge", ".ipynb_checkpoints", "__pycache__", "build")


def strip_outputs(path: Path) -> str:
    """Return the text of a notebook without outputs, execution counts and an editor's metadata."""
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata = _METADATA
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return nbformat.writes(notebook) + "\n"


def execute(
    path: Path, folder: Path, environment: Mapping[str, str], changes: Mapping[str, str] | None = None
) -> NotebookNode:
    """Run a copy of a notebook in `folder` and return it with its outputs.

    `environment` is the complete environment of the kernel. `changes` are texts that are replaced in its cells, as a
    user would. A cell that fails raises with its traceback.
    """
    shutil.copytree(FOLDER, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*_IGNORED))
    notebook = nbformat.read(folder / path.name, as_version=4)
    for text, replacement in (changes or {}).items():
        (cell,) = [cell for cell in notebook.cells if text in cell.source]
        cell.source = cell.source.replace(text, replacement)
    return _execute(notebook, folder, environment)


def execute_cells(cells: Sequence[str], folder: Path, environment: Mapping[str, str]) -> NotebookNode:
    """Run a notebook with these cells in `folder` and return it with its outputs."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    search_path = os.pathsep.join(filter(None, (str(FOLDER.parent / "tests"), environment.get("PYTHONPATH"))))
    return _execute(notebook, folder, {**environment, "PYTHONPATH": search_path})


def _execute(notebook: NotebookNode, folder: Path, environment: Mapping[str, str]) -> NotebookNode:
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=600,
        resources={"metadata": {"path": str(folder)}},
        config=Config({"KernelManager": {"transport_encryption": "auto"}}),  # or other users could read it
    )
    return client.execute(env={**environment, "IPYTHONDIR": str(folder / ".ipython")})


def printed_text(notebook: NotebookNode, stream: str) -> str:
    """Return what the cells printed to `stdout` or `stderr`."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return "".join(output.text for output in outputs if output.output_type == "stream" and output.name == stream)


def displayed_data(notebook: NotebookNode, media_type: str) -> list[str]:
    """Return what the cells displayed of a media type, such as `image/png`."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return [output.data[media_type] for output in outputs if media_type in output.get("data", {})]


#: The user of a notebook in a workbench, and on a laptop after `oc login`.
USER = f"system:serviceaccount:{NAMESPACE}:workbench"

_PROGRAM = """
import json, pathlib, sys
from kfp_edge import local
local.run(pathlib.Path("pipeline.yaml"), json.loads(sys.argv[1]), out="out")
"""


class RunningStore(Store):
    """A store of the fake backend that executes runs: each in a process of its own, with `kfp.local`."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def stop(self) -> None:
        """Terminate the active runs."""
        for process in self._processes.values():
            process.terminate()
            process.wait()

    def create_run(self, body: JsonObject) -> JsonObject:
        run = super().create_run(body)
        folder = self._folder / run["run_id"]
        folder.mkdir(parents=True)
        (folder / "pipeline.yaml").write_text(self._text(run))
        parameters = json.dumps((body.get("runtime_config") or {}).get("parameters") or {})
        with (folder / "run.log").open("w") as log:
            self._processes[run["run_id"]] = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, parameters], cwd=folder, stdout=log, stderr=subprocess.STDOUT
            )
        return run

    def content(self, artifact_id: str) -> bytes | None:
        *_, run_id, stage, _, name = self.artifacts[artifact_id]["storage_path"].split("/")
        file = next(self._folder.glob(f"{run_id}/out/artifacts/*/{stage}/{name}"), None)
        return file.read_bytes() if file is not None and file.is_file() else None

    def _text(self, run: JsonObject) -> str:
        return self.texts[run["pipeline_version_reference"]["pipeline_version_id"]]

    def _advance(self, run: JsonObject) -> None:
        """Advance the run as far as its process has come."""
        while run["state"] in ("PENDING", "RUNNING") and not self._is_waiting(run):
            super()._advance(run)
        if run["state"] == "SUCCEEDED":
            self._set_times(run)

    def _is_waiting(self, run: JsonObject) -> bool:
        """Return whether a running stage has not ended, or the process has not ended after the last stage."""
        code, folder = self._processes[run["run_id"]].poll(), self._folder / run["run_id"]
        stages = [stage.name for stage in CompiledPipeline(self._text(run)).stages]
        running_tasks = {
            task["display_name"]
            for task in run.get("run_details", {}).get("task_details", ())
            if task.get("state") == "RUNNING"
        }
        running = [stage for stage in stages if stage in running_tasks]
        open_stages = [
            stage for stage in running if not any(folder.glob(f"out/artifacts/*/{stage}/executor_output.json"))
        ]
        unsettled = bool(open_stages) or stages[-1] in running
        if open_stages and code:
            self.failing[open_stages[0]] = (folder / "run.log").read_text().strip().splitlines()[-1]
        return unsettled and code is None

    def _set_times(self, run: JsonObject) -> None:
        summary = json.loads((self._folder / run["run_id"] / "out" / "summary.json").read_text())
        tasks = {task["display_name"]: task for task in run["run_details"]["task_details"]}
        moment = datetime.fromisoformat(run["created_at"])
        for stage in summary["stages"]:
            start, moment = moment, moment + timedelta(seconds=stage["seconds"])
            tasks[stage["name"]].update(start_time=start.isoformat(), end_time=moment.isoformat())
            for artifact in self.artifacts.values():
                if f"/{run['run_id']}/{stage['name']}/" in artifact["uri"]:
                    artifact["created_at"] = moment.isoformat()


@contextmanager
def openshift_ai(folder: Path) -> Iterator[FakeKubernetes]:
    """Start a FAKE cluster with a pipeline server that executes runs and accepts the cluster's token."""
    store = RunningStore(folder / "runs")
    with FakeKfp(folder) as kfp, FakeKubernetes(folder) as kubernetes:
        kfp.store, kfp.token = store, kubernetes.token(USER)
        kubernetes.apply(pipeline_application(kfp.url, kfp.url))
        kubernetes.apply(_IMAGES)
        try:
            yield kubernetes
        finally:
            store.stop()


#: The runtime image of the project, as deploy/openshift names it.
_IMAGES = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "kfp-edge-images", "namespace": NAMESPACE},
    "data": {"runtime": "registry.example.com/kfp-edge/runtime:1"},
}


if __name__ == "__main__":
    for notebook in NOTEBOOKS:
        notebook.write_text(strip_outputs(notebook), encoding="utf-8")

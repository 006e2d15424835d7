"""Notebooks as files, and run as a user runs them: from a fresh kernel. Run as a program, it strips them for git."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from traitlets.config import Config

from kfp_edge.spec.compiled_pipeline import CompiledPipeline
from support.fake_kfp import FakeKfp
from support.fake_kfp.store import NAMESPACE, Object, Store
from support.fake_kubernetes import FakeKubernetes

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))

_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
#: What a run leaves beside a notebook.
_LEFT = (".kfp-edge", ".ipynb_checkpoints", "__pycache__", "build")


def stripped(path: Path) -> str:
    """The text of a notebook without outputs, counts, and whatever an editor noted in it."""
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata = _METADATA
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return nbformat.writes(notebook) + "\n"


def execute(path: Path, desk: Path, environment: Mapping[str, str]) -> NotebookNode:
    """Run a copy of a notebook in the folder `desk` and return it with its outputs.

    `environment` is the kernel's whole environment. A cell that fails raises with its traceback.
    """
    shutil.copytree(FOLDER, desk, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*_LEFT))
    notebook = nbformat.read(desk / path.name, as_version=4)
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=600,
        resources={"metadata": {"path": str(desk)}},
        config=Config({"KernelManager": {"transport_encryption": "auto"}}),  # else others on the machine could listen
    )
    return client.execute(env={**environment, "IPYTHONDIR": str(desk / ".ipython")})


def said(notebook: NotebookNode, stream: str) -> str:
    """What the cells printed to `stdout` or `stderr`."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return "".join(output.text for output in outputs if output.output_type == "stream" and output.name == stream)


def shown(notebook: NotebookNode, kind: str) -> list[str]:
    """What the cells showed of a media type, `image/png` for example."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return [output.data[kind] for output in outputs if kind in output.get("data", {})]


#: Who a notebook is in a workbench, and on a laptop after `oc login`.
USER = f"system:serviceaccount:{NAMESPACE}:workbench"

_PROGRAM = """
import json, pathlib, sys
from kfp_edge import local
local.run(pathlib.Path("pipeline.yaml"), json.loads(sys.argv[1]), out="out")
"""


class RunningStore(Store):
    """The fake backend's store, whose runs do their work: each in a process of its own, by `kfp.local`."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def stop(self) -> None:
        """End the runs that still go on."""
        for process in self._processes.values():
            process.terminate()
            process.wait()

    def create_run(self, body: Object) -> Object:
        made = super().create_run(body)
        folder = self._folder / made["run_id"]
        folder.mkdir(parents=True)
        (folder / "pipeline.yaml").write_text(self._text(made))
        parameters = json.dumps((body.get("runtime_config") or {}).get("parameters") or {})
        with (folder / "run.log").open("w") as log:
            self._processes[made["run_id"]] = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, parameters], cwd=folder, stdout=log, stderr=subprocess.STDOUT
            )
        return made

    def content(self, artifact_id: str) -> bytes | None:
        *_, run, stage, _, name = self.artifacts[artifact_id]["storage_path"].split("/")
        file = next(self._folder.glob(f"{run}/out/artifacts/*/{stage}/{name}"), None)
        return file.read_bytes() if file is not None and file.is_file() else None

    def _text(self, run: Object) -> str:
        return self.texts[run["pipeline_version_reference"]["pipeline_version_id"]]

    def _advance(self, run: Object) -> None:
        """Catch up with the process."""
        while run["state"] in ("PENDING", "RUNNING") and not self._waits(run):
            super()._advance(run)
        if run["state"] == "SUCCEEDED":
            self._tell_times(run)

    def _waits(self, run: Object) -> bool:
        """Whether the stage that is told to run does so, or the process has not ended behind the last one."""
        code, folder = self._processes[run["run_id"]].poll(), self._folder / run["run_id"]
        stages = [stage.name for stage in CompiledPipeline(self._text(run)).stages]
        told = {task["display_name"] for task in run["run_details"]["task_details"] if task["state"] == "RUNNING"}
        running = [stage for stage in stages if stage in told]
        ended = [stage for stage in running if any(folder.glob(f"out/artifacts/*/{stage}/executor_output.json"))]
        unsettled = bool(running) and (not ended or running == stages[-1:])
        if unsettled and code:
            self.failing[running[0]] = (folder / "run.log").read_text().strip().splitlines()[-1]
        return unsettled and code is None

    def _tell_times(self, run: Object) -> None:
        summary = json.loads((self._folder / run["run_id"] / "out" / "summary.json").read_text())
        tasks = {task["display_name"]: task for task in run["run_details"]["task_details"]}
        moment = datetime.fromisoformat(run["created_at"])
        for stage in summary["stages"]:
            begun, moment = moment, moment + timedelta(seconds=stage["seconds"])
            tasks[stage["name"]].update(start_time=begun.isoformat(), end_time=moment.isoformat())


@contextmanager
def openshift_ai(folder: Path) -> Iterator[FakeKubernetes]:
    """A FAKE cluster with a pipeline server that does its work; its token is the cluster's own."""
    store = RunningStore(folder / "runs")
    with FakeKfp(folder) as kfp, FakeKubernetes(folder) as kubernetes:
        kfp.store, kfp.token = store, kubernetes.token(USER)
        kubernetes.apply(_pipeline_server(kfp.url))
        try:
            yield kubernetes
        finally:
            store.stop()


def _pipeline_server(url: str) -> dict[str, Any]:
    return {
        "apiVersion": "datasciencepipelinesapplications.opendatahub.io/v1",
        "kind": "DataSciencePipelinesApplication",
        "metadata": {"name": "dspa", "namespace": NAMESPACE},
        "spec": {"objectStorage": {}},
        "status": {"components": {"apiServer": {"url": url, "externalUrl": url}}},
    }


if __name__ == "__main__":
    for notebook in NOTEBOOKS:
        notebook.write_text(stripped(notebook), encoding="utf-8")

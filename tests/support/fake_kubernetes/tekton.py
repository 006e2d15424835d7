"""A FAKE of Tekton Pipelines and of the node below it: the steps of a TaskRun really run, with this machine's programs.

A step gets a root file system of its own that is made of this machine's programs, the volumes at the paths of the
Pod, an empty home, and the rights of a container in OpenShift: so its script, its paths, and what it does with
Buildah, a registry or S3 are tested. Not tested is what is in its image; resources are not limited, `nodeSelector`
decides nothing, and there are no sidecars, retries, step results or `onError`. It needs root.

Conditions, reasons and messages are those of tektoncd/pipeline (pkg/pod/status.go, pkg/reconciler/taskrun).
"""

from collections.abc import Mapping

from support.fake_kubernetes.controller import Controller
from support.fake_kubernetes.objects import (
    Object,
    condition,
)
from support.fake_kubernetes.taskrun import TaskRunExecution
from support.fake_kubernetes.tekton_node import Fault, Image

__all__ = ["Fault", "Image", "TektonController"]

_PENDING = "TaskRunPending"


class TektonController(Controller):
    """Runs the fake's TaskRuns.

    Args:
        images: The images that the node can pull, by the reference that steps name.
        specific_reasons: Whether a failed TaskRun has the reasons of Tekton 1.12 and later (StepFailed, StepOOM,
            PodEvicted) or those before (Failed), as in OpenShift Pipelines today.
    """

    def __init__(self, images: Mapping[str, Image], *, specific_reasons: bool = False) -> None:
        self.images = dict(images)
        self.specific_reasons = specific_reasons
        self.fault: Fault | None = None
        #: Seconds by which the clock of timeouts is ahead, so that a test need not wait for one.
        self.skipped_seconds = 0.0
        self._runs: dict[str, TaskRunExecution] = {}

    def look(self) -> None:
        """Start TaskRuns that are new, and end those that are cancelled, too late or gone."""
        taskruns = {thing["metadata"]["uid"]: thing for thing in self.fake.objects("TaskRun")}
        for uid, run in self._runs.items():
            run.look(taskruns.get(uid))
        for uid in taskruns.keys() - self._runs.keys():
            taskrun = taskruns[uid]
            if taskrun["spec"].get("status") == _PENDING:
                self._postpone(taskrun)
            else:
                self._runs[uid] = TaskRunExecution(self, taskrun)

    def clean_up(self) -> None:
        """End all TaskRuns."""
        for run in self._runs.values():
            run.look(None)
        for run in self._runs.values():
            run.join()

    def _postpone(self, taskrun: Object) -> None:
        if "status" not in taskrun:
            message = f'TaskRun "{taskrun["metadata"]["name"]}" is pending'
            conditions = [condition("Succeeded", "Unknown", _PENDING, message)]
            self.set_status(taskrun, {"podName": "", "conditions": conditions})

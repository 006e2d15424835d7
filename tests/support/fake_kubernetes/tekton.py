"""A FAKE of Tekton Pipelines and of the node below it: the steps of a TaskRun really run, with this machine's programs.

A step gets a root file system of its own that is made of this machine's programs, the volumes at the paths of the
Pod, an empty home, and the rights of a container in OpenShift: so its script, its paths, and what it does with
Buildah, a registry or S3 are tested. Not tested is what is in its image; resources are not limited, `nodeSelector`
decides nothing, and there are no sidecars, retries, step results or `onError`. It needs root.

Conditions, reasons and messages are those of tektoncd/pipeline (pkg/pod/status.go, pkg/reconciler/taskrun).
"""

import contextlib
import enum
import json
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from support.fake_kubernetes import _run_sandbox as sandbox
from support.fake_kubernetes._run_admission import over_quota
from support.fake_kubernetes._run_controller import POLL, Controller
from support.fake_kubernetes._run_objects import (
    Object,
    condition,
    container_status,
    key,
    now,
    running,
    terminated,
    waiting,
    with_conditions,
)
from support.fake_kubernetes._run_task import SCRIPTS, InvalidError, pod_of, resolved, timeout
from support.fake_kubernetes._run_volumes import MissingError, environment, expanded, mounts, write_volume
from support.fake_kubernetes.logs import Log
from support.fake_kubernetes.store import Refused

#: What CRI-O gives a container on OpenShift.
_CAPABILITIES = (
    *("CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "SETGID", "SETUID", "SETPCAP", "NET_BIND_SERVICE", "KILL"),
)
#: What the security context constraint `pipelines-scc` of OpenShift Pipelines lets a step add.
_ADDABLE = {"SETFCAP"}
#: Service accounts that are in every namespace; OpenShift Pipelines makes `pipeline`.
_SERVICE_ACCOUNTS = {"default", "pipeline"}
_MAX_MESSAGE = 4096
_KILLED = 137
_FAILED, _CANCELLED, _PENDING = "Failed", "TaskRunCancelled", "TaskRunPending"


class Fault(enum.Enum):
    """What goes wrong with every TaskRun that starts while it is set."""

    #: No node has room for the Pod; it waits until the TaskRun's timeout.
    NEVER_STARTS = enum.auto()
    #: The images cannot be pulled.
    IMAGE_PULL = enum.auto()
    #: The namespace's quota is used up: there is no Pod until the TaskRun ends.
    QUOTA = enum.auto()
    #: No security context constraint allows the Pod.
    ADMISSION = enum.auto()
    #: The node evicts the Pod when a step has written its first line.
    EVICTED = enum.auto()
    #: The kernel kills the first step that writes a line, for want of memory.
    OUT_OF_MEMORY = enum.auto()


@dataclass(frozen=True)
class Image:
    """What stands for an image: this machine's programs, and what its configuration and content add to them.

    `folders` are folders of this machine, such as a virtual environment, that are in the image at the same path.
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()


class _End(Exception):
    """A TaskRun ends before its steps do; without a reason, because it is gone or the fake stops."""

    def __init__(self, reason: str = "", message: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


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
        self._runs: dict[str, _Run] = {}

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
                self._runs[uid] = _Run(self, taskrun)

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


class _Run:
    """One TaskRun, in a thread of its own."""

    def __init__(self, controller: TektonController, taskrun: Object) -> None:
        self._controller, self._taskrun = controller, taskrun
        self._fault = controller.fault
        self._namespace, self._name = key(taskrun)
        self._folder = controller.folder / taskrun["metadata"]["uid"]
        self._started = time.monotonic()
        self._end: _End | None = None
        self._ended = threading.Event()
        self._process: sandbox.Process | None = None
        self._starting = threading.Lock()
        self._pod: Object | None = None
        self._states: list[Object] = []
        self._reasons: list[str] = []  # why each step ended, in Tekton's words
        self._conditions: list[Object] = []
        self._logs: dict[str, Log] = {}
        self._thread = threading.Thread(target=self._run, name=self._name)
        self._thread.start()

    def look(self, taskrun: Object | None) -> None:
        """End if the TaskRun is cancelled, too late, or gone."""
        if taskrun is None:
            self._interrupt(_End())
        elif taskrun["spec"].get("status") == _CANCELLED:
            said = taskrun["spec"].get("statusMessage", "")
            self._interrupt(_End(_CANCELLED, f'TaskRun "{self._name}" was cancelled. {said}'))
        elif 0 < self._limit() < time.monotonic() + self._controller.skipped_seconds - self._started:
            limit = taskrun["spec"].get("timeout", "1h0m0s")
            self._interrupt(_End("TaskRunTimeout", f'TaskRun "{self._name}" failed to finish within "{limit}"'))

    def join(self) -> None:
        """Wait until nothing of it runs."""
        self._thread.join()

    def _limit(self) -> float:
        with contextlib.suppress(InvalidError):  # that it is invalid is told by the run itself
            return timeout(self._taskrun)
        return 0

    def _interrupt(self, end: _End) -> None:
        with self._starting:
            if self._end is None:
                self._end = end
            self._ended.set()
            if self._process is not None:
                self._process.kill()

    def _pause(self) -> None:
        """Wait a moment.

        Raises:
            _End: the run is to end.
        """
        self._ended.wait(POLL)
        self._go_on()

    def _go_on(self) -> None:
        if self._end is not None:
            raise self._end

    def _run(self) -> None:
        try:
            self._execute()
        except _End as end:
            if end.reason:
                self._give_up(end)
        finally:
            for log in self._logs.values():
                log.close()
            shutil.rmtree(self._folder)

    def _execute(self) -> None:
        self._folder.mkdir()
        self._write({"startTime": now()}, condition("Succeeded", "Unknown", "Started"))
        try:
            timeout(self._taskrun)
            task = resolved(self._taskrun)
        except InvalidError as error:
            raise _End("TaskRunValidationFailed", str(error)) from error
        pod, scripts = pod_of(self._taskrun, task)
        self._admit(pod)
        try:
            self._pod = self._controller.fake.apply(pod)
        except Refused as refusal:
            raise self._not_created(str(refusal)) from refusal
        self._states = [waiting("PodInitializing") for _ in pod["spec"]["containers"]]
        self._reasons = ["" for _ in self._states]
        self._schedule()
        self._pull()
        self._fill_volumes(scripts)
        variables = self._variables()
        self._states = [running() for _ in self._states]
        names = [container["name"] for container in self._containers]
        self._logs = {name: self._controller.fake.set_log(*key(self._made), name) for name in names}
        self._publish("Running", condition("Ready", "True"))
        self._run_steps(variables, [result["name"] for result in task["results"]])

    def _admit(self, pod: Object) -> None:
        """Do what the API server does when Tekton creates the Pod."""
        account = pod["spec"]["serviceAccountName"]
        known = {one["metadata"]["name"] for one in self._controller.fake.objects("ServiceAccount", self._namespace)}
        if account not in known | _SERVICE_ACCOUNTS:
            raise self._not_created(f'translating TaskSpec to Pod: serviceaccounts "{account}" not found')
        forbidden = f'pods "{pod["metadata"]["name"]}" is forbidden:'
        said = "provider restricted-v2: .containers[0].runAsUser: Invalid value: 0: must be in the ranges"
        if refused := said if self._fault is Fault.ADMISSION else _refused(pod):
            message = f"{forbidden} unable to validate against any security context constraint: [{refused}]"
            raise _End("PodAdmissionFailed", message)
        objects = self._controller.fake.objects
        exceeded = over_quota(pod, objects("Pod", self._namespace), objects("ResourceQuota", self._namespace))
        if self._fault is Fault.QUOTA:
            exceeded = "exceeded quota: build, requested: limits.cpu=1, used: limits.cpu=4, limited: limits.cpu=4"
        if exceeded:
            said = f"TaskRun Pod exceeded available resources: {forbidden} {exceeded}"
            self._write({}, condition("Succeeded", "Unknown", "ExceededResourceQuota", said))
            self._wait_for_ever()

    def _not_created(self, why: str) -> _End:
        said = f'failed to create task run pod "{self._name}": {why}. Maybe invalid TaskSpec'
        return _End("PodCreationFailed", said)

    def _schedule(self) -> None:
        if self._fault is Fault.NEVER_STARTS:
            said = "0/3 nodes are available: 3 Insufficient memory. preemption: not eligible."
            self._controller.tell(self._made, "Warning", "FailedScheduling", said, "default-scheduler")
            self._publish("Pending", condition("PodScheduled", "False", "Unschedulable", said))
            self._wait_for_ever()
        self._publish("Pending", condition("PodScheduled", "True"), condition("Ready", "False", "ContainersNotReady"))

    def _pull(self) -> None:
        for number, container in enumerate(self._containers):
            image = container["image"]
            if image in self._controller.images and self._fault is not Fault.IMAGE_PULL:
                continue
            said = f"initializing source docker://{image}: reading manifest: manifest unknown"
            self._controller.tell(self._made, "Warning", "Failed", f'Failed to pull image "{image}": {said}')
            for reason, message in (("ErrImagePull", said), ("ImagePullBackOff", f'Back-off pulling image "{image}"')):
                self._states[number] = waiting(reason, message)
                self._publish("Pending")
            raise _End(
                "TaskRunImagePullFailed",
                f'the step "{_step(container)}" in TaskRun "{self._name}" failed to pull the image "". '
                f'The pod errored with the message: "{message}."',
            )

    def _fill_volumes(self, scripts: dict[str, str]) -> None:
        """Make the Pod's volumes; the kubelet waits for what is not there yet."""
        find = self._controller.finder(self._namespace)
        (self._folder / "volumes").mkdir()
        told = ""
        for volume in self._made["spec"]["volumes"]:
            while True:
                try:
                    write_volume(volume, self._volumes / volume["name"], self._made, find)
                    break
                except MissingError as error:
                    if str(error) != told:
                        told = str(error)
                        said = f'MountVolume.SetUp failed for volume "{volume["name"]}" : {told}'
                        self._controller.tell(self._made, "Warning", "FailedMount", said)
                self._pause()
        for name, script in scripts.items():
            path = self._volumes / SCRIPTS / name
            path.write_text(script)
            path.chmod(0o755)

    def _variables(self) -> list[dict[str, str]]:
        """The variables of each step's container."""
        find = self._controller.finder(self._namespace)
        found = []
        for number, container in enumerate(self._containers):
            try:
                found.append(environment(container, self._made, find))
            except MissingError as error:
                self._states[number] = waiting("CreateContainerConfigError", str(error))
                self._publish("Pending")
                raise _End(
                    "CreateContainerConfigError",
                    f'the step "{_step(container)}" in TaskRun "{self._name}" failed to start. '
                    f'The pod errored with the message: "{error}."',
                ) from error
        return found

    def _run_steps(self, variables: list[dict[str, str]], results: list[str]) -> None:
        failed = False
        for number, container in enumerate(self._containers):
            started = self._states[number]["running"]["startedAt"]
            if failed:
                self._log(container, "Skipping step because a previous step failed")
                code, reason, why = 1, "Error", "Skipped"
            else:
                code = self._run_step(number, container, variables[number])
                out_of_memory = code == _KILLED and self._fault is Fault.OUT_OF_MEMORY
                reason = "OOMKilled" if out_of_memory else "Error" if code else "Completed"
                why = reason
            message = self._message(results)
            if len(message) > _MAX_MESSAGE:
                said = "Termination message is above max allowed size 4096, caused by large task result."
                self._log(container, said)
                code, reason, why, message = 1, "Error", "Error", ""
            self._logs[container["name"]].close()
            self._states[number] = terminated(code, reason, started, message)
            self._reasons[number] = why
            failed = failed or code != 0
            if number + 1 < len(self._states):
                self._publish("Running")
        self._finish(failed, results)

    def _run_step(self, number: int, container: Object, variables: dict[str, str]) -> int:
        image = self._controller.images[container["image"]]
        given = {"PATH": sandbox.PATH, "HOME": "/root", "HOSTNAME": self._made["metadata"]["name"]}
        known = given | dict(image.environment) | variables
        parts = [*container.get("command", image.entrypoint), *container.get("args", [])]
        context = self._made["spec"].get("securityContext", {}) | container.get("securityContext", {})
        root = self._folder / "roots" / str(number)
        root.mkdir(parents=True)
        folders = tuple(sandbox.Mount(folder, str(folder), read_only=True) for folder in image.folders)
        wanted = sandbox.Container(
            root=root,
            command=tuple(expanded(part, variables) for part in parts),
            environment=known,
            mounts=(*folders, *mounts(container, self._made, self._volumes)),
            capabilities=_capabilities(container),
            workdir=container.get("workingDir", "/"),
            user=context.get("runAsUser", 0),
        )
        with self._starting:
            self._go_on()
            self._process = sandbox.Process(wanted)
        for line in self._process.lines():
            self._log(container, line)
            if self._fault in (Fault.EVICTED, Fault.OUT_OF_MEMORY):
                self._process.kill()
        code = self._process.wait()
        self._go_on()
        if self._fault is Fault.EVICTED:
            self._evict()
        shutil.rmtree(root)
        return code

    def _evict(self) -> None:
        self._states = [terminated(_KILLED, "Error", _began(state)) for state in self._states]
        self._reasons = ["Error" for _ in self._states]
        said = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 68Mi."
        self._controller.tell(self._made, "Warning", "Evicted", said)
        self._publish("Failed", reason="Evicted", message=said)
        reason = "PodEvicted" if self._controller.specific_reasons else _FAILED
        self._write({"completionTime": now()}, condition("Succeeded", "False", reason, said))
        raise _End

    def _finish(self, failed: bool, results: list[str]) -> None:
        self._publish("Failed" if failed else "Succeeded", condition("Ready", "False", "PodCompleted"))
        values = [{"name": name, "type": "string", "value": value} for name, value in self._results(results)]
        found = {"completionTime": now()} | ({"results": values} if values else {})
        if not failed:
            said = "All Steps have completed executing"
            self._write(found, condition("Succeeded", "True", "Succeeded", said))
            return
        pairs = zip(self._containers, self._states, strict=True)
        name, state = next(
            (one["name"], state["terminated"]) for one, state in pairs if state["terminated"]["exitCode"]
        )
        specific = "StepOOM" if state["reason"] == "OOMKilled" else "StepFailed"
        reason = specific if self._controller.specific_reasons else _FAILED
        said = f'"{name}" exited with code {state["exitCode"]}: {state["reason"]}'
        self._write(found, condition("Succeeded", "False", reason, said))

    def _give_up(self, end: _End) -> None:
        """End as Tekton does when it is not the steps that decide: it deletes the Pod, and the logs with it."""
        for number, state in enumerate(self._states):
            if "terminated" not in state:
                pod = self._made["metadata"]["name"]
                said = f"Step {_step(self._containers[number])} terminated as pod {pod} is terminated"
                self._states[number] = terminated(1, end.reason, _began(state), said)
                self._reasons[number] = end.reason
        final = condition("Succeeded", "False", end.reason, end.message)
        self._write({"completionTime": now(), "steps": self._steps()}, final)
        if self._pod is not None:
            self._controller.delete(self._pod)

    def _wait_for_ever(self) -> None:
        while True:
            self._pause()

    def _publish(self, phase: str, *conditions: Object, reason: str = "", message: str = "") -> None:
        """Write the Pod's status, and what Tekton makes of it into the TaskRun's."""
        self._conditions = with_conditions(self._conditions, *conditions)
        statuses = [
            container_status(container, state, ready="running" in state)
            for container, state in zip(self._containers, self._states, strict=True)
        ]
        status = {"phase": phase, "conditions": self._conditions, "containerStatuses": statuses, "hostIP": "127.0.0.1"}
        said = {"reason": reason, "message": message}
        self._controller.set_status(self._made, status | {name: text for name, text in said.items() if text})
        found = {"podName": self._made["metadata"]["name"], "steps": self._steps()}
        if phase in ("Pending", "Running"):
            self._write(found, _unfinished(phase, self._conditions, statuses))
        else:
            self._write(found)

    def _write(self, status: Object, *succeeded: Object) -> None:
        always = {"podName": self._made["metadata"]["name"] if self._pod else ""}
        if succeeded:
            always["conditions"] = list(succeeded)
        self._controller.set_status(self._taskrun, always | status)

    def _steps(self) -> list[Object]:
        return [
            {"name": _step(container), "container": container["name"], "imageID": container["image"]}
            | state
            | ({"terminationReason": reason} if reason else {})
            for container, state, reason in zip(self._containers, self._states, self._reasons, strict=True)
        ]

    def _results(self, names: list[str]) -> Iterator[tuple[str, str]]:
        """The results that were written; a newline at the end of one is part of it, as with Tekton."""
        folder = self._volumes / "tekton-internal-results"
        for name in names:
            if (folder / name).is_file():
                yield name, (folder / name).read_text()

    def _message(self, results: list[str]) -> str:
        found = [{"key": name, "value": value, "type": 1} for name, value in self._results(results)]
        return json.dumps(found, separators=(",", ":")) if found else ""

    def _log(self, container: Object, line: str) -> None:
        self._logs[container["name"]].write(line + "\n")

    @property
    def _volumes(self) -> Path:
        return self._folder / "volumes"

    @property
    def _made(self) -> Object:
        assert self._pod is not None
        return self._pod

    @property
    def _containers(self) -> list[Object]:
        return self._made["spec"]["containers"] if self._pod else []


def _began(state: Object) -> str:
    """When a container of a state was started; now, if it was not."""
    return str(state.get("running", state.get("terminated", {})).get("startedAt") or now())


def _unfinished(phase: str, conditions: list[Object], statuses: list[Object]) -> Object:
    """Tekton's `updateIncompleteTaskRunStatus`."""
    if phase == "Running":
        return condition("Succeeded", "Unknown", "Running", "Not all Steps in the Task have finished executing")
    if any("Insufficient" in one.get("message", "") for one in conditions):
        return condition("Succeeded", "Unknown", "ExceededNodeResources", "TaskRun Pod exceeded available resources")
    for status in statuses:
        found = status["state"].get("waiting", {})
        if "message" in found:
            pulls = found["reason"] in ("ErrImagePull", "ImagePullBackOff")
            said = f'build step "{status["name"]}" is pending with reason "{found["message"]}"'
            return condition("Succeeded", "Unknown", "PullImageFailed" if pulls else "Pending", said)
    first = next((one for one in conditions if one["status"] != "True"), None)
    said = (
        f'pod status "{first["type"]}":"{first["status"]}"; message: "{first.get("message", "")}"'
        if first
        else "Pending"
    )
    return condition("Succeeded", "Unknown", "Pending", said)


def _refused(pod: Object) -> str:
    """Why `pipelines-scc` refuses the Pod; empty if it does not."""
    for number, container in enumerate(pod["spec"]["containers"]):
        context = container.get("securityContext", {})
        if context.get("privileged"):
            return f"spec.containers[{number}].securityContext.privileged: Invalid value: true: not allowed"
        added = set(context.get("capabilities", {}).get("add", [])) - _ADDABLE
        if added:
            said = f'capabilities.add: Invalid value: "{min(added)}": capability may not be added'
            return f"spec.containers[{number}].securityContext.{said}"
    return ""


def _capabilities(container: Object) -> tuple[str, ...]:
    changes = container.get("securityContext", {}).get("capabilities", {})
    dropped = changes.get("drop", [])
    kept = () if "ALL" in dropped else tuple(name for name in _CAPABILITIES if name not in dropped)
    return (*kept, *changes.get("add", []))


def _step(container: Object) -> str:
    return str(container["name"]).removeprefix("step-")

"""One TaskRun: its Pod, and its steps, which run as processes in namespaces of their own."""

import contextlib
import json
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from support.fake_kubernetes import sandbox
from support.fake_kubernetes.admission import refusal_by_pipelines_scc
from support.fake_kubernetes.controller import POLL
from support.fake_kubernetes.logs import Log
from support.fake_kubernetes.objects import (
    Object,
    condition,
    key,
    now,
    running,
    started_at,
    terminated,
    waiting,
)
from support.fake_kubernetes.quotas import over_quota, with_defaults
from support.fake_kubernetes.store import Refused
from support.fake_kubernetes.taskrun_pod import (
    SCRIPTS,
    InvalidError,
    pod_of,
    resolved,
    step_capabilities,
    step_name,
    timeout,
)
from support.fake_kubernetes.taskrun_report import NEVER, TaskRunReport
from support.fake_kubernetes.tekton_node import (
    LOW_ON_MEMORY,
    NO_NODE,
    START_ERROR,
    Fault,
    TaskRunEndedError,
    pull_error,
)
from support.fake_kubernetes.volumes import MissingError, environment, expanded, mounts, write_volume

if TYPE_CHECKING:
    from support.fake_kubernetes.tekton import TektonController

#: Service accounts that are in every namespace; OpenShift Pipelines makes `pipeline`.
_SERVICE_ACCOUNTS = {"default", "pipeline"}
_MAX_MESSAGE = 4096
_KILLED = 137
#: What Tekton's entrypoint makes of a process that a signal ended.
_SIGNALLED = 255
_FAILED, _CANCELLED = "Failed", "TaskRunCancelled"


class TaskRunExecution:
    """One TaskRun, in a thread of its own."""

    def __init__(self, controller: "TektonController", taskrun: Object) -> None:
        self._controller, self._taskrun = controller, taskrun
        self._fault = controller.fault
        self._namespace, self._name = key(taskrun)
        self._folder = controller.folder / taskrun["metadata"]["uid"]
        self._started = time.monotonic()
        self._end: TaskRunEndedError | None = None
        self._ended = threading.Event()
        self._process: sandbox.Process | None = None
        self._starting = threading.Lock()
        self._report = TaskRunReport(controller, taskrun)
        self._logs: dict[str, Log] = {}
        self._thread = threading.Thread(target=self._run, name=self._name)
        self._thread.start()

    def look(self, taskrun: Object | None) -> None:
        """End if the TaskRun is cancelled, too late, or gone."""
        if taskrun is None:
            self._interrupt(TaskRunEndedError())
        elif taskrun["spec"].get("status") == _CANCELLED:
            detail = taskrun["spec"].get("statusMessage", "")
            self._interrupt(TaskRunEndedError(_CANCELLED, f'TaskRun "{self._name}" was cancelled. {detail}'))
        elif 0 < self._limit() < time.monotonic() + self._controller.skipped_seconds - self._started:
            limit = taskrun["spec"].get("timeout", "1h0m0s")
            self._interrupt(
                TaskRunEndedError("TaskRunTimeout", f'TaskRun "{self._name}" failed to finish within "{limit}"')
            )

    def join(self) -> None:
        """Wait until nothing of it runs."""
        self._thread.join()

    def _limit(self) -> float:
        with contextlib.suppress(InvalidError):  # the run itself reports that it is invalid
            return timeout(self._taskrun)
        return 0

    def _interrupt(self, end: TaskRunEndedError) -> None:
        with self._starting:
            if self._end is None:
                self._end = end
            self._ended.set()
            if self._process is not None:
                self._process.kill()

    def _pause(self) -> None:
        """Wait a moment.

        Raises:
            TaskRunEndedError: the run is to end.
        """
        self._ended.wait(POLL)
        self._go_on()

    def _go_on(self) -> None:
        if self._end is not None:
            raise self._end

    def _run(self) -> None:
        try:
            self._execute()
        except TaskRunEndedError as end:
            if end.reason:
                self._give_up(end)
        finally:
            for log in self._logs.values():
                log.close()
            shutil.rmtree(self._folder)

    def _execute(self) -> None:
        self._folder.mkdir()
        started = {"startTime": now(), "steps": self._report.steps()}
        self._report.write(started, condition("Succeeded", "Unknown", "Started"))
        try:
            timeout(self._taskrun)
            task = resolved(self._taskrun)
        except InvalidError as error:
            raise TaskRunEndedError("TaskRunValidationFailed", str(error)) from error
        pod, scripts = pod_of(self._taskrun, task)
        self._admit(pod)
        try:
            self._report.set_pod(self._controller.fake.apply(pod))
        except Refused as refusal:
            raise self._not_created(str(refusal)) from refusal
        self._schedule()
        self._fill_volumes(scripts)
        self._initialize()
        self._pull()
        variables = self._variables()
        self._report.states = [running() for _ in self._report.states]
        names = [container["name"] for container in self._report.containers]
        self._logs = {name: self._controller.fake.set_log(*key(self._pod), name) for name in names}
        self._report.publish("Running")
        if self._fault is Fault.START_ERROR:
            self._fail_to_start()
        self._run_steps(variables, [result["name"] for result in task["results"]])

    def _admit(self, pod: Object) -> None:
        """Do what the API server does when Tekton creates the Pod."""
        account = pod["spec"]["serviceAccountName"]
        known = {one["metadata"]["name"] for one in self._controller.fake.objects("ServiceAccount", self._namespace)}
        if account not in known | _SERVICE_ACCOUNTS:
            raise self._not_created(f'translating TaskSpec to Pod: serviceaccounts "{account}" not found')
        forbidden = f'pods "{pod["metadata"]["name"]}" is forbidden:'
        detail = "provider restricted-v2: .containers[0].runAsUser: Invalid value: 0: must be in the ranges"
        if refused := detail if self._fault is Fault.ADMISSION else refusal_by_pipelines_scc(pod):
            message = f"{forbidden} unable to validate against any security context constraint: [{refused}]"
            raise TaskRunEndedError("PodAdmissionFailed", message)
        objects = self._controller.fake.objects
        completed = with_defaults(pod, objects("LimitRange", self._namespace))
        exceeded = over_quota(completed, objects("Pod", self._namespace), objects("ResourceQuota", self._namespace))
        if self._fault is Fault.QUOTA:
            exceeded = "exceeded quota: build, requested: limits.cpu=1, used: limits.cpu=4, limited: limits.cpu=4"
        if exceeded.startswith("failed quota"):  # which nothing can change but the Pod
            raise self._not_created(f"{forbidden} {exceeded}")
        if exceeded:
            detail = f"TaskRun Pod exceeded available resources: {forbidden} {exceeded}"
            self._report.write({}, condition("Succeeded", "Unknown", "ExceededResourceQuota", detail))
            self._wait_for_ever()

    def _not_created(self, why: str) -> TaskRunEndedError:
        detail = f'failed to create task run pod "{self._name}": {why}. Maybe invalid TaskSpec'
        return TaskRunEndedError("PodCreationFailed", detail)

    def _schedule(self) -> None:
        if self._fault is Fault.NEVER_STARTS:
            self._controller.record_event(self._pod, "Warning", "FailedScheduling", NO_NODE, "default-scheduler")
            self._report.publish_unscheduled(NO_NODE)
            self._wait_for_ever()
        self._report.publish("Pending", on_node=False)

    def _initialize(self) -> None:
        """Run Tekton's init containers, of which only the end is shown."""
        if self._fault is Fault.INIT_IMAGE_PULL:
            image = self._report.init_containers[0]["image"]
            detail = f'Back-off pulling image "{image}": ErrImagePull: {pull_error(image)}'
            self._report.init_states[0] = waiting("ImagePullBackOff", detail)
            self._report.publish("Pending")
            self._wait_for_ever()
        self._report.finish_init_containers()
        if self._fault is Fault.INIT_FAILS:
            name = self._report.init_containers[-1]["name"]
            self._controller.fake.set_log(*key(self._pod), name).write("no space left on device\n")
            self._controller.fake.log(*key(self._pod), name).close()
            self._report.init_states[-1] = terminated(1, "Error", now())
            self._report.publish("Failed")
            detail = f'init container failed, "{name}" exited with code 1: Error'
            self._report.write({"completionTime": now()}, condition("Succeeded", "False", _FAILED, detail))
            raise TaskRunEndedError
        self._report.publish("Pending")

    def _fail_to_start(self) -> None:
        self._controller.record_event(self._pod, "Warning", "Failed", f"Error: {START_ERROR}")
        self._report.states[0] = terminated(128, "StartError", NEVER, START_ERROR)
        self._report.reasons[0] = "StartError"
        self._report.publish("Running")
        self._wait_for_ever()

    def _pull(self) -> None:
        for number, container in enumerate(self._report.containers):
            image = container["image"]
            if image in self._controller.images and self._fault is not Fault.IMAGE_PULL:
                continue
            detail = pull_error(image)
            self._controller.record_event(self._pod, "Warning", "Failed", f'Failed to pull image "{image}": {detail}')
            for reason, message in (
                ("ErrImagePull", detail),
                ("ImagePullBackOff", f'Back-off pulling image "{image}": ErrImagePull: {detail}'),
            ):
                self._report.states[number] = waiting(reason, message)
                self._report.publish("Pending")
            raise TaskRunEndedError(
                "TaskRunImagePullFailed",
                f'the step "{step_name(container)}" in TaskRun "{self._name}" failed to pull the image "". '
                f'The pod errored with the message: "{message}."',
            )

    def _fill_volumes(self, scripts: dict[str, str]) -> None:
        """Make the Pod's volumes; the kubelet waits for what is not there yet."""
        find = self._controller.finder(self._namespace)
        (self._folder / "volumes").mkdir()
        for volume in self._pod["spec"]["volumes"]:
            while True:
                try:
                    write_volume(volume, self._volumes / volume["name"], self._pod, find)
                    break
                except MissingError as error:
                    detail = f'MountVolume.SetUp failed for volume "{volume["name"]}" : {error}'
                    self._controller.record_event(self._pod, "Warning", "FailedMount", detail)
                self._pause()
        for name, script in scripts.items():
            path = self._volumes / SCRIPTS / name
            path.write_text(script)
            path.chmod(0o755)

    def _variables(self) -> list[dict[str, str]]:
        """The variables of each step's container."""
        find = self._controller.finder(self._namespace)
        found = []
        for number, container in enumerate(self._report.containers):
            try:
                found.append(environment(container, self._pod, find))
            except MissingError as error:
                self._report.states[number] = waiting("CreateContainerConfigError", str(error))
                self._report.publish("Pending")
                raise TaskRunEndedError(
                    "CreateContainerConfigError",
                    f'the step "{step_name(container)}" in TaskRun "{self._name}" failed to start. '
                    f'The pod errored with the message: "{error}."',
                ) from error
        return found

    def _run_steps(self, variables: list[dict[str, str]], results: list[str]) -> None:
        failed = False
        for number, container in enumerate(self._report.containers):
            started = self._report.states[number]["running"]["startedAt"]
            if failed:
                self._log(container, "Skipping step because a previous step failed")
                code, reason, why = 1, "Error", "Skipped"
            else:
                code = self._run_step(number, container, variables[number])
                out_of_memory = code == _SIGNALLED and self._fault is Fault.OUT_OF_MEMORY
                reason = "OOMKilled" if out_of_memory else "Error" if code else "Completed"
                why = reason
            message = self._message(results)
            if len(message) > _MAX_MESSAGE:
                detail = "Termination message is above max allowed size 4096, caused by large task result."
                self._log(container, detail)
                code, reason, why, message = 1, "Error", "Error", ""
            self._logs[container["name"]].close()
            self._report.states[number] = terminated(code, reason, started, message)
            self._report.reasons[number] = why
            failed = failed or code != 0
            if number + 1 < len(self._report.states):
                self._report.publish("Running")
        self._finish(failed, results)

    def _run_step(self, number: int, container: Object, variables: dict[str, str]) -> int:
        image = self._controller.images[container["image"]]
        given = {"PATH": sandbox.PATH, "HOME": "/root", "HOSTNAME": self._pod["metadata"]["name"]}
        known = given | dict(image.environment) | variables
        parts = [*container.get("command", image.entrypoint), *container.get("args", [])]
        context = self._pod["spec"].get("securityContext", {}) | container.get("securityContext", {})
        root = self._folder / "roots" / str(number)
        root.mkdir(parents=True)
        folders = tuple(sandbox.Mount(folder, str(folder), read_only=True) for folder in image.folders)
        wanted = sandbox.Container(
            root=root,
            command=tuple(expanded(part, variables) for part in parts),
            environment=known,
            mounts=(*folders, *mounts(container, self._pod, self._volumes)),
            capabilities=step_capabilities(container),
            workdir=container.get("workingDir", "/"),
            user=context.get("runAsUser", 0),
        )
        with self._starting:
            self._go_on()
            self._process = sandbox.Process(wanted)
        for line in self._process.lines():
            self._log(container, line)
            if self._fault in (Fault.EVICTED, Fault.OUT_OF_MEMORY, Fault.POD_DELETED):
                self._process.kill()
        code = self._process.wait()
        code = _SIGNALLED if code == _KILLED else code
        self._go_on()
        if self._fault is Fault.EVICTED:
            self._evict()
        if self._fault is Fault.POD_DELETED:
            self._controller.delete(self._pod)
        shutil.rmtree(root)
        return code

    def _evict(self) -> None:
        self._report.states = [terminated(_KILLED, "Error", started_at(state)) for state in self._report.states]
        self._report.reasons = ["Error" for _ in self._report.states]
        self._controller.record_event(self._pod, "Warning", "Evicted", LOW_ON_MEMORY)
        self._report.publish("Failed", reason="Evicted", message=LOW_ON_MEMORY)
        reason = "PodEvicted" if self._controller.specific_reasons else _FAILED
        self._report.write({"completionTime": now()}, condition("Succeeded", "False", reason, LOW_ON_MEMORY))
        raise TaskRunEndedError

    def _finish(self, failed: bool, results: list[str]) -> None:
        self._report.publish("Failed" if failed else "Succeeded")
        values = [{"name": name, "type": "string", "value": value} for name, value in self._results(results)]
        found = {"completionTime": now()} | ({"results": values} if values else {})
        if not failed:
            detail = "All Steps have completed executing"
            self._report.write(found, condition("Succeeded", "True", "Succeeded", detail))
            return
        pairs = zip(self._report.containers, self._report.states, strict=True)
        name, state = next(
            (one["name"], state["terminated"]) for one, state in pairs if state["terminated"]["exitCode"]
        )
        specific = "StepOOM" if state["reason"] == "OOMKilled" else "StepFailed"
        reason = specific if self._controller.specific_reasons else _FAILED
        detail = f'"{name}" exited with code {state["exitCode"]}: {state["reason"]}'
        self._report.write(found, condition("Succeeded", "False", reason, detail))

    def _give_up(self, end: TaskRunEndedError) -> None:
        """End as Tekton does when it is not the steps that decide: it deletes the Pod, and the logs with it."""
        for number, state in enumerate(self._report.states):
            if "terminated" not in state:
                pod = self._pod["metadata"]["name"]
                step = step_name(self._report.containers[number])
                detail = f"Step {step} terminated as pod {pod} is terminated"
                self._report.states[number] = terminated(1, end.reason, started_at(state), detail)
                self._report.reasons[number] = end.reason
        final = condition("Succeeded", "False", end.reason, end.message)
        self._report.write({"completionTime": now(), "steps": self._report.steps()}, final)
        if self._report.has_pod:
            self._controller.delete(self._pod)

    def _wait_for_ever(self) -> None:
        while True:
            self._pause()

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
    def _pod(self) -> Object:
        return self._report.pod

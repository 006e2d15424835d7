"""A Pod with one container, which Podman runs: pull, volumes, probes, restarts and the end of the Pod."""

import base64
import contextlib
import enum
import http.client
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from kfp_edge.errors import CommandError
from kfp_edge.images.podman import podman, podman_environment
from kfp_edge.images.tools.buildah import Buildah
from kfp_edge.runtime.process import run
from support.fake_kubernetes.admission import USERS
from support.fake_kubernetes.controller import POLL
from support.fake_kubernetes.logs import Log
from support.fake_kubernetes.objects import (
    Object,
    condition,
    container_status,
    key,
    running,
    terminated,
    waiting,
    with_conditions,
)
from support.fake_kubernetes.probes import HOST, Probe, http_status
from support.fake_kubernetes.quotas import quantity
from support.fake_kubernetes.volumes import MissingError, environment, expanded, mounts, write_volume

if TYPE_CHECKING:
    from support.fake_kubernetes.workloads import WorkloadController

#: Seconds; Kubernetes begins with ten, and doubles.
_BACK_OFF = 0.5
#: Seconds between two probes, so that tests need not wait for `periodSeconds`; `failureThreshold` periods still apply.
_PROBE_SECONDS = 0.2
_GRACE_SECONDS = 30


class Fault(enum.Enum):
    """What goes wrong with every Pod that is made while it is set."""

    #: No node has room for the Pod.
    UNSCHEDULABLE = enum.auto()
    #: The image cannot be pulled.
    IMAGE_PULL = enum.auto()
    #: The namespace's quota is used up: there is no Pod.
    QUOTA = enum.auto()
    #: The readiness probe fails, whatever the container answers.
    NEVER_READY = enum.auto()


class _PodEndedError(Exception):
    """The Pod is to end."""


class PodProcess:
    """One Pod and its container, in a thread of its own."""

    def __init__(self, controller: "WorkloadController", pod: Object, fault: Fault | None) -> None:
        self._controller, self._pod, self._fault = controller, pod, fault
        (self._container,) = pod["spec"]["containers"]
        uid = pod["metadata"]["uid"]
        self._folder = controller.folder / uid
        self._image = f"localhost/kfp-edge/fake-node:{uid}"
        self._name = f"kfp-edge-fake-{uid}"
        self._ports = {port["containerPort"]: _free_port() for port in self._container.get("ports", [])}
        self._left = int(pod["spec"].get("terminationGracePeriodSeconds", _GRACE_SECONDS))
        self._reports = True
        self._over = threading.Event()
        self._conditions: list[Object] = []
        self._state, self._last = waiting("ContainerCreating"), {}
        self._restarts = 0
        self._image_id = ""
        self._thread = threading.Thread(target=self._run, name=self._name)
        self._thread.start()

    def end(self) -> None:
        """Let the container end within the Pod's grace period, and then the Pod, if it is still there."""
        self._over.set()

    def kill(self) -> None:
        """End the container at once, because the fake stops; the Pod stays as it is."""
        self._reports = False
        self._left = 0
        self._over.set()

    def join(self) -> None:
        """Wait until the container and its image are gone."""
        self._thread.join()

    def host_port(self, port: int | str) -> int | None:
        """The port of this machine for one of the container, by number or name."""
        names = {each.get("name"): each["containerPort"] for each in self._container.get("ports", [])}
        return self._ports.get(names.get(port, port))

    def _run(self) -> None:
        self._folder.mkdir()
        try:
            self._schedule()
            self._pull()
            self._fill_volumes()
            while True:
                self._run_container()
                self._restarts += 1
        except _PodEndedError:
            if self._reports:  # what is scaled down is there until its container is gone
                self._controller.delete(self._pod)
        finally:
            self._remove()
            Buildah().remove(self._image)
            shutil.rmtree(self._folder)

    def _pause(self, seconds: float = POLL) -> None:
        if self._over.wait(seconds):
            raise _PodEndedError

    def _wait_for_ever(self) -> None:
        while True:
            self._pause()

    def _schedule(self) -> None:
        if self._fault is Fault.UNSCHEDULABLE:
            detail = "0/3 nodes are available: 3 Insufficient memory. preemption: not eligible."
            self._record_warning("FailedScheduling", detail, "default-scheduler")
            status = {"phase": "Pending", "conditions": [condition("PodScheduled", "False", "Unschedulable", detail)]}
            self._controller.set_status(self._pod, status)
            self._wait_for_ever()
        self._conditions = [condition("PodScheduled", "True")]
        self._publish()

    def _pull(self) -> None:
        image = self._container["image"]
        while why := self._pull_failure(image):
            self._record_warning("Failed", f'Failed to pull image "{image}": {why}')
            self._state = waiting("ErrImagePull", why)
            self._publish()
            self._pause(_BACK_OFF)
            detail = f'Back-off pulling image "{image}"'
            self._record_warning("BackOff", detail)
            self._state = waiting("ImagePullBackOff", detail)
            self._publish()
            self._pause(_BACK_OFF)
        self._image_id = image

    def _pull_failure(self, image: str) -> str:
        """Pull the image with nothing but the Pod's own login, and return what is wrong, if anything is."""
        if self._fault is Fault.IMAGE_PULL:
            return f"initializing source docker://{image}: reading manifest: manifest unknown"
        login = self._folder / "auth.json"
        login.write_text(json.dumps({"auths": self._logins()}))
        trust = self._controller.cert_dir
        flags = ["--src-cert-dir", str(trust)] if trust else ["--src-tls-verify=false"]
        flags += ["--quiet", "--preserve-digests", "--authfile", str(login)]
        try:
            run(["skopeo", "copy", *flags, f"docker://{image}", f"containers-storage:{self._image}"], new_session=True)
        except CommandError as error:
            return f"rpc error: code = Unknown desc = {error.output.splitlines()[-1]}"
        finally:
            login.unlink()
        return ""

    def _logins(self) -> Object:
        """The logins in the pull secrets of the Pod or, where it names none, of its service account."""
        namespace = key(self._pod)[0]
        account = self._controller.find("ServiceAccount", namespace, self._pod["spec"]["serviceAccountName"]) or {}
        secrets = self._pod["spec"].get("imagePullSecrets") or account.get("imagePullSecrets", [])
        logins: Object = {}
        for reference in secrets:
            secret = self._controller.find("Secret", namespace, reference["name"])
            if secret is not None:  # one that is not there is passed over, as by the kubelet
                logins |= json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))["auths"]
        return logins

    def _fill_volumes(self) -> None:
        (self._folder / "volumes").mkdir()
        for volume in self._pod["spec"].get("volumes", []):
            while True:
                try:
                    find = self._controller.finder(key(self._pod)[0])
                    write_volume(volume, self._folder / "volumes" / volume["name"], self._pod, find)
                    break
                except MissingError as error:
                    self._record_warning(
                        "FailedMount", f'MountVolume.SetUp failed for volume "{volume["name"]}" : {error}'
                    )
                    self._pause(_BACK_OFF)

    def _run_container(self) -> None:
        """Run the container until it ends, and wait before it is started again."""
        try:
            self._create()
        except (MissingError, CommandError) as error:
            missing = isinstance(error, MissingError)
            self._state = waiting("CreateContainerConfigError" if missing else "CreateContainerError", str(error))
            self._publish()
            self._record_warning("Failed", f"Error: {error}")
            self._pause(_BACK_OFF)
            return
        self._watch()
        self._last = self._state
        self._pause(0)
        name, (namespace, pod) = self._container["name"], key(self._pod)
        detail = (
            f"back-off 10s restarting failed container={name} pod={pod}_{namespace}({self._pod['metadata']['uid']})"
        )
        self._record_warning("BackOff", f"Back-off restarting failed container {name} in pod {pod}")
        self._state = waiting("CrashLoopBackOff", detail)
        self._publish()
        self._pause(_BACK_OFF)

    def _create(self) -> None:
        variables = environment(self._container, self._pod, self._controller.finder(key(self._pod)[0]))
        flags = [*self._limits(), *self._volume_flags()]
        flags += [f"--publish={HOST}:{here}:{there}" for there, here in self._ports.items()]
        # values come by the environment: arguments are seen by everyone
        flags += [f"--env={name}" for name in variables]
        if "workingDir" in self._container:
            flags.append(f"--workdir={self._container['workingDir']}")
        command = [expanded(part, variables) for part in self._container.get("command", [])]
        if command:
            flags.append(f"--entrypoint={json.dumps(command)}")
        arguments = [expanded(part, variables) for part in self._container.get("args", [])]
        self._remove()
        created = ["podman", "create", "--name", self._name, "--pull=never", *flags, self._image, *arguments]
        run(created, env=podman_environment() | variables, new_session=True)

    def _limits(self) -> list[str]:
        """Podman's flags for the security context and the resources."""
        context = self._pod["spec"].get("securityContext", {}) | self._container.get("securityContext", {})
        capabilities = context.get("capabilities", {})
        flags = [f"--user={context.get('runAsUser', USERS[0])}:{context.get('runAsGroup', 0)}"]
        flags += [f"--cap-drop={name.lower()}" for name in capabilities.get("drop", [])]
        flags += [f"--cap-add={name.lower()}" for name in capabilities.get("add", [])]
        if context.get("allowPrivilegeEscalation") is False:
            flags.append("--security-opt=no-new-privileges")
        if context.get("readOnlyRootFilesystem"):
            flags += ["--read-only", "--read-only-tmpfs=false"]
        limits = self._container.get("resources", {}).get("limits", {})
        if "memory" in limits:
            flags.append(f"--memory={quantity(limits['memory']):.0f}b")
        if "cpu" in limits:
            flags.append(f"--cpus={quantity(limits['cpu']):g}")
        return flags

    def _volume_flags(self) -> list[str]:
        found = mounts(self._container, self._pod, self._folder / "volumes")
        return [f"--volume={each.source}:{each.path}{':ro' if each.read_only else ''}" for each in found]

    def _watch(self) -> None:
        """Start the container, ask its probes until it ends or the Pod is to end, and record how it ended."""
        log = self._controller.fake.set_log(*key(self._pod), self._container["name"])
        process = subprocess.Popen(
            ["podman", "start", "--attach", self._name],
            env=podman_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert process.stdout is not None
        pump = threading.Thread(target=_copy, args=(process.stdout.fileno(), log))
        pump.start()
        self._state = running()
        try:
            self._publish()
            with contextlib.suppress(_PodEndedError):
                for ready in self._readiness(process):
                    self._publish(ready)
        finally:
            self._stop(process)
            code = process.wait()
            pump.join()
            process.stdout.close()
            log.close()
        out_of_memory = json.loads(podman("container", "inspect", self._name))[0]["State"]["OOMKilled"]
        reason = "OOMKilled" if out_of_memory else "Error" if code else "Completed"
        self._state = terminated(code, reason, self._state["running"]["startedAt"])
        self._publish()

    def _stop(self, process: subprocess.Popen[bytes]) -> None:
        """End the container if it runs: SIGTERM, and SIGKILL after the grace period, which `end` may cut short."""
        begun = time.monotonic()
        signalled = False
        while process.poll() is None and time.monotonic() - begun < self._left:
            signalled = signalled or self._signal("TERM")
            time.sleep(POLL)
        while process.poll() is None:
            self._signal("KILL")
            time.sleep(POLL)

    def _signal(self, signal: str) -> bool:
        """Send a signal; whether the container was there to get it: it may not have begun, or have ended."""
        try:
            podman("kill", "--signal", signal, self._name)
        except CommandError:
            return False
        return True

    def _remove(self) -> None:
        podman("rm", "--force", "--time", "0", "--ignore", "--volumes", self._name)

    def _readiness(self, process: subprocess.Popen[bytes]) -> Iterator[bool]:
        """Yield each change of readiness until the container ends."""
        startup, readiness, liveness = (
            Probe(self._container[name]) if name in self._container else None
            for name in ("startupProbe", "readinessProbe", "livenessProbe")
        )
        ready = False
        while process.poll() is None:
            if startup is not None and not startup.passed:
                self._ask(startup, "Startup")
                if startup.has_failed():
                    self._kill("Startup", process)
            else:
                if liveness is not None and not self._ask(liveness, "Liveness") and liveness.has_failed():
                    self._kill("Liveness", process)
                passed = readiness is None or self._ask(readiness, "Readiness")
                if passed != ready and (passed or (readiness is not None and readiness.has_failed())):
                    ready = passed
                    yield ready
            self._pause(_PROBE_SECONDS)

    def _ask(self, probe: "Probe", kind: str) -> bool:
        why = self._failure(probe.spec)
        if kind == "Readiness" and self._fault is Fault.NEVER_READY:
            why = "HTTP probe failed with statuscode: 503"
        if why and probe.first_failure():
            self._record_warning("Unhealthy", f"{kind} probe failed: {why}")
        probe.take(passed=not why)
        return not why

    def _failure(self, probe: Object) -> str:
        """Ask a probe once; what is wrong, if anything is."""
        if "exec" in probe:
            try:
                podman("exec", self._name, *probe["exec"]["command"])
            except CommandError as error:
                return error.output
            return ""
        wanted = probe.get("httpGet") or probe["tcpSocket"]
        port = self.host_port(wanted["port"])
        if port is None:
            return f"port {wanted['port']} is not among the container's"
        try:
            if "httpGet" not in probe:
                socket.create_connection((HOST, port), timeout=probe["timeoutSeconds"]).close()
                return ""
            status = http_status(port, wanted.get("path", "/"), probe["timeoutSeconds"])
        except (OSError, http.client.HTTPException) as error:
            return str(error)
        return "" if 200 <= status < 400 else f"HTTP probe failed with statuscode: {status}"

    def _kill(self, probe: str, process: subprocess.Popen[bytes]) -> None:
        name = self._container["name"]
        self._record_warning("Killing", f"Container {name} failed {probe.lower()} probe, will be restarted")
        self._stop(process)

    def _record_warning(self, reason: str, message: str, component: str = "kubelet") -> None:
        self._controller.record_event(self._pod, "Warning", reason, message, component)

    def _publish(self, ready: bool = False) -> None:
        name = self._container["name"]
        why = ("True",) if ready else ("False", "ContainersNotReady", f"containers with unready status: [{name}]")
        changes = [condition(kind, *why) for kind in ("ContainersReady", "Ready")]
        self._conditions = with_conditions(self._conditions, condition("Initialized", "True"), *changes)
        status = container_status(self._container, self._state, ready=ready, restarts=self._restarts)
        status |= {"imageID": self._image_id, "started": "running" in self._state}
        status |= {"lastState": self._last} if self._last else {}
        self._controller.set_status(
            self._pod,
            {
                "phase": "Running" if self._last or "waiting" not in self._state else "Pending",
                "conditions": self._conditions,
                "containerStatuses": [status],
                "hostIP": HOST,
                "podIP": HOST,
            },
        )


def _copy(source: int, log: Log) -> None:
    while data := os.read(source, 1 << 16):
        log.write(data)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind((HOST, 0))
        return int(free.getsockname()[1])

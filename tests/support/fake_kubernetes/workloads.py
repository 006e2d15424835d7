"""A FAKE of the controllers of Deployments and Services and of the node below them: each Pod is a real container.

A Deployment becomes a ReplicaSet and Pods; Podman runs each Pod's one container, pulled from the registry with the
Pod's own pull secrets, as the user and with the rights, the memory and the volumes that the Pod names. Readiness is
asked for over HTTP. A Service is a listener on an address of its own, open while a container behind it is ready.

Namespaces are as on OpenShift: Pod Security `restricted`, users from a range, and their ResourceQuotas count. Not
here: a Deployment whose template changes while it runs, several containers in a Pod, init containers, DNS names,
network policies, node selectors. A deleted Pod is gone from the API at once; its container gets its grace period.
"""

import base64
import contextlib
import enum
import hashlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from kfp_edge.errors import CommandError
from kfp_edge.images.buildah import Buildah
from kfp_edge.images.podman import podman, podman_environment
from kfp_edge.runtime.process import run
from support.fake_kubernetes._run_admission import USERS, over_quota, quantity, violations
from support.fake_kubernetes._run_controller import POLL, Controller
from support.fake_kubernetes._run_objects import (
    Object,
    condition,
    container_status,
    is_owned,
    key,
    matches,
    now,
    owned,
    running,
    terminated,
    waiting,
    with_conditions,
)
from support.fake_kubernetes._run_volumes import MissingError, environment, expanded, mounts, write_volume
from support.fake_kubernetes.logs import Log
from support.fake_kubernetes.service_proxy import Address, Proxy, ServiceAddress
from support.fake_kubernetes.store import Refused

_HOST = "127.0.0.1"
#: Seconds; Kubernetes begins with ten, and doubles.
_BACK_OFF = 0.5
#: A probe is asked at least this often, so that tests need not wait for its period; its patience stays.
_PROBE_SECONDS = 0.2
_GRACE = 30
_PROGRESS_DEADLINE = 600
_PROBE_DEFAULTS = {"periodSeconds": 10, "timeoutSeconds": 1, "failureThreshold": 3, "initialDelaySeconds": 0}


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


class WorkloadController(Controller):
    """Runs the fake's Deployments and Services.

    Args:
        cert_dir: A folder with the CA that the nodes trust for registries; without one, they do not check certificates.
    """

    def __init__(self, cert_dir: Path | None = None) -> None:
        self.cert_dir = cert_dir
        self.fault: Fault | None = None
        self._pods: dict[str, _Pod] = {}
        self._faults: dict[str, Fault | None] = {}
        self._addresses: dict[str, ServiceAddress] = {}
        self._proxies: dict[Address, Proxy] = {}
        self._begun: dict[str, float] = {}

    def look(self) -> None:
        """Bring objects, containers and listeners in line."""
        for deployment in self.fake.objects("Deployment"):
            self._look_at_deployment(deployment)
        sets = self.fake.objects("ReplicaSet")
        for replica_set in sets:
            self._look_at_replica_set(replica_set)
        known = {each["metadata"]["uid"] for each in sets}
        pods = [each for each in self.fake.objects("Pod") if _owner(each) in known]
        self._look_at_pods(pods)
        self._look_at_services([each for each in pods if _stays(each)])

    def clean_up(self) -> None:
        """Remove all containers at once, and close all listeners."""
        for proxy in self._proxies.values():
            proxy.close()
        for address in self._addresses.values():
            address.close()
        for pod in self._pods.values():
            pod.kill()
        for pod in self._pods.values():
            pod.join()

    def _look_at_deployment(self, deployment: Object) -> None:
        namespace, name = key(deployment)
        template = deployment["spec"]["template"]
        mark = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:10]
        replica_set = self.find("ReplicaSet", namespace, f"{name}-{mark}")
        if replica_set is None:
            labels = template["metadata"]["labels"] | {"pod-template-hash": mark}
            spec = {
                "replicas": deployment["spec"].get("replicas", 1),
                "selector": {"matchLabels": labels},
                "template": template | {"metadata": template["metadata"] | {"labels": labels}},
            }
            metadata = {"name": f"{name}-{mark}", "namespace": namespace, "labels": labels}
            metadata["ownerReferences"] = owned(deployment)
            self._make({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": spec})
            return
        if replica_set["spec"]["replicas"] != (wanted := deployment["spec"].get("replicas", 1)):
            self._change("ReplicaSet", replica_set, lambda one: one["spec"].update(replicas=wanted))
        self._begun.setdefault(replica_set["metadata"]["uid"], time.monotonic())
        self.set_status(deployment, self._deployment_status(deployment, replica_set))

    def _deployment_status(self, deployment: Object, replica_set: Object) -> Object:
        wanted, found = deployment["spec"].get("replicas", 1), replica_set.get("status", {})
        available = found.get("availableReplicas", 0)
        name = replica_set["metadata"]["name"]
        late = time.monotonic() - self._begun[replica_set["metadata"]["uid"]]
        if available >= wanted:
            said = ("True", "NewReplicaSetAvailable", f'ReplicaSet "{name}" has successfully progressed.')
        elif late > deployment["spec"].get("progressDeadlineSeconds", _PROGRESS_DEADLINE):
            said = ("False", "ProgressDeadlineExceeded", f'ReplicaSet "{name}" has timed out progressing.')
        else:
            said = ("True", "ReplicaSetUpdated", f'ReplicaSet "{name}" is progressing.')
        enough = ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
        too_few = ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
        minimum = condition("Available", *(enough if available >= wanted else too_few))
        failures = [each for each in found.get("conditions", []) if each["type"] == "ReplicaFailure"]
        before = [
            each for each in deployment.get("status", {}).get("conditions", []) if each["type"] != "ReplicaFailure"
        ]
        return {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": found.get("replicas", 0),
            "updatedReplicas": found.get("replicas", 0),
            "readyReplicas": found.get("readyReplicas", 0),
            "availableReplicas": available,
            "unavailableReplicas": max(0, wanted - available),
            "conditions": with_conditions(before, minimum, condition("Progressing", *said), *failures),
        }

    def _look_at_replica_set(self, replica_set: Object) -> None:
        pods = [each for each in self.fake.objects("Pod", key(replica_set)[0]) if is_owned(each, replica_set)]
        pods = [each for each in pods if _stays(each)]
        missing = replica_set["spec"]["replicas"] - len(pods)
        for surplus in pods[len(pods) + min(missing, 0) :]:
            self._change("Pod", surplus, lambda one: one["metadata"].update(deletionTimestamp=now()))
        conditions = replica_set.get("status", {}).get("conditions", [])
        if missing > 0:
            refused = self._make_pod(replica_set)
            known = [each["message"] for each in conditions]
            if refused and refused not in known:
                self.tell(replica_set, "Warning", "FailedCreate", f"Error creating: {refused}", "replicaset-controller")
            failure = condition("ReplicaFailure", "True", "FailedCreate", refused)
            conditions = with_conditions(conditions, failure) if refused else []
        ready = sum(_is_ready(each) for each in pods)
        status = {"replicas": len(pods), "fullyLabeledReplicas": len(pods), "observedGeneration": 1}
        self.set_status(
            replica_set, status | {"readyReplicas": ready, "availableReplicas": ready, "conditions": conditions}
        )

    def _make_pod(self, replica_set: Object) -> str:
        """Make a Pod of a ReplicaSet; return why the API refuses it, if it does."""
        namespace, name = key(replica_set)
        template = replica_set["spec"]["template"]
        spec = {"serviceAccountName": "default", "restartPolicy": "Always"} | template["spec"]
        metadata = template["metadata"] | {
            "name": f"{name}-{uuid.uuid4().hex[:5]}",
            "namespace": namespace,
            "ownerReferences": owned(replica_set),
        }
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": {"phase": "Pending"}}
        if refused := self._refused(pod):
            return f'pods "{name}-" is forbidden: {refused}'
        made = self._make(pod)
        if made is not None:
            self._faults[made["metadata"]["uid"]] = self.fault
        return ""

    def _refused(self, pod: Object) -> str:
        namespace = key(pod)[0]
        account = pod["spec"]["serviceAccountName"]
        if account != "default" and self.find("ServiceAccount", namespace, account) is None:
            return f'error looking up service account {namespace}/{account}: serviceaccount "{account}" not found'
        if self.fault is Fault.QUOTA:
            said = "requested: limits.memory=256Mi, used: limits.memory=1Gi, limited: limits.memory=1Gi"
            return f"exceeded quota: staging, {said}"
        others = self.fake.objects("Pod", namespace)
        return violations(pod) or over_quota(pod, others, self.fake.objects("ResourceQuota", namespace))

    def _change(self, kind: str, thing: Object, change: Callable[[Object], None]) -> None:
        with contextlib.suppress(Refused):  # it may be gone
            self.fake.update(kind, *key(thing), change)

    def _make(self, thing: Object) -> Object | None:
        """Create what an owner asks for; nothing if the owner was deleted meanwhile."""
        made = self.fake.apply(thing)
        return self.find(thing["kind"], *key(made))

    def _look_at_pods(self, pods: list[Object]) -> None:
        for pod in pods:
            uid = pod["metadata"]["uid"]
            if uid not in self._pods:
                self._pods[uid] = _Pod(self, pod, self._faults.get(uid))
        staying = {pod["metadata"]["uid"] for pod in pods if _stays(pod)}
        for uid, running_pod in self._pods.items():
            if uid not in staying:
                running_pod.end()

    def _look_at_services(self, pods: list[Object]) -> None:
        wanted: dict[Address, tuple[Address, ...]] = {}
        services = self.fake.objects("Service")
        for service in services:
            uid = service["metadata"]["uid"]
            if service["spec"].get("clusterIP") == "None":
                continue
            if uid not in self._addresses:
                self._addresses[uid] = ServiceAddress()
            for port in service["spec"]["ports"]:
                address = self._addresses[uid][port["port"]]
                if targets := tuple(self._targets(service, port, pods)):
                    wanted[address] = targets
            if "clusterIP" not in service["spec"]:
                ip = self._addresses[uid].ip
                assigned = {"clusterIP": ip, "clusterIPs": [ip], "type": "ClusterIP"}
                self._change("Service", service, lambda one, assigned=assigned: one["spec"].update(assigned))
        for listening in self._proxies.keys() - wanted.keys():
            self._proxies.pop(listening).close()
        for address, targets in wanted.items():
            if address in self._proxies:
                self._proxies[address].targets = targets
            else:
                self._proxies[address] = Proxy(address, targets)
        for uid in self._addresses.keys() - {service["metadata"]["uid"] for service in services}:
            self._addresses.pop(uid).close()

    def _targets(self, service: Object, port: Object, pods: list[Object]) -> Iterator[Address]:
        """Where the ready Pods of a Service are reached on this machine."""
        for pod in pods:
            selected = matches(pod["metadata"].get("labels", {}), service["spec"].get("selector", {}))
            if key(pod)[0] == key(service)[0] and selected and _is_ready(pod):
                found = self._pods[pod["metadata"]["uid"]].host_port(port.get("targetPort", port["port"]))
                if found is not None:
                    yield _HOST, found


class _Over(Exception):
    """The Pod is to end."""


class _Pod:
    """One Pod and its container, in a thread of its own."""

    def __init__(self, controller: WorkloadController, pod: Object, fault: Fault | None) -> None:
        self._controller, self._pod, self._fault = controller, pod, fault
        (self._container,) = pod["spec"]["containers"]
        uid = pod["metadata"]["uid"]
        self._folder = controller.folder / uid
        self._image = f"localhost/kfp-edge/fake-node:{uid}"
        self._name = f"kfp-edge-fake-{uid}"
        self._ports = {port["containerPort"]: _free_port() for port in self._container.get("ports", [])}
        self._left = int(pod["spec"].get("terminationGracePeriodSeconds", _GRACE))
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
        except _Over:
            if self._reports:  # what is scaled down is there until its container is gone
                self._controller.delete(self._pod)
        finally:
            self._remove()
            Buildah().remove(self._image)
            shutil.rmtree(self._folder)

    def _pause(self, seconds: float = POLL) -> None:
        if self._over.wait(seconds):
            raise _Over

    def _wait_for_ever(self) -> None:
        while True:
            self._pause()

    def _schedule(self) -> None:
        if self._fault is Fault.UNSCHEDULABLE:
            said = "0/3 nodes are available: 3 Insufficient memory. preemption: not eligible."
            self._tell("FailedScheduling", said, "default-scheduler")
            status = {"phase": "Pending", "conditions": [condition("PodScheduled", "False", "Unschedulable", said)]}
            self._controller.set_status(self._pod, status)
            self._wait_for_ever()
        self._conditions = [condition("PodScheduled", "True")]
        self._publish()

    def _pull(self) -> None:
        image = self._container["image"]
        while why := self._pull_failure(image):
            self._tell("Failed", f'Failed to pull image "{image}": {why}')
            self._state = waiting("ErrImagePull", why)
            self._publish()
            self._pause(_BACK_OFF)
            said = f'Back-off pulling image "{image}"'
            self._tell("BackOff", said)
            self._state = waiting("ImagePullBackOff", said)
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
        """The logins in the pull secrets of the Pod and of its service account."""
        namespace = key(self._pod)[0]
        account = self._controller.find("ServiceAccount", namespace, self._pod["spec"]["serviceAccountName"]) or {}
        secrets = [*self._pod["spec"].get("imagePullSecrets", []), *account.get("imagePullSecrets", [])]
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
                    self._tell("FailedMount", f'MountVolume.SetUp failed for volume "{volume["name"]}" : {error}')
                    self._pause(_BACK_OFF)

    def _run_container(self) -> None:
        """Run the container until it ends, and wait before it is started again."""
        try:
            self._create()
        except (MissingError, CommandError) as error:
            missing = isinstance(error, MissingError)
            self._state = waiting("CreateContainerConfigError" if missing else "CreateContainerError", str(error))
            self._publish()
            self._tell("Failed", f"Error: {error}")
            self._pause(_BACK_OFF)
            return
        self._watch()
        self._last = self._state
        self._pause(0)
        name, (namespace, pod) = self._container["name"], key(self._pod)
        said = f"back-off 10s restarting failed container={name} pod={pod}_{namespace}({self._pod['metadata']['uid']})"
        self._tell("BackOff", f"Back-off restarting failed container {name} in pod {pod}")
        self._state = waiting("CrashLoopBackOff", said)
        self._publish()
        self._pause(_BACK_OFF)

    def _create(self) -> None:
        variables = environment(self._container, self._pod, self._controller.finder(key(self._pod)[0]))
        flags = [*self._limits(), *self._volume_flags()]
        flags += [f"--publish={_HOST}:{here}:{there}" for there, here in self._ports.items()]
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
        """Start the container, ask its probes until it ends or the Pod is to end, and tell how it ended."""
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
            with contextlib.suppress(_Over):
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
        told = False
        while process.poll() is None and time.monotonic() - begun < self._left:
            told = told or self._signal("TERM")
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
            _Probe(self._container[name]) if name in self._container else None
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

    def _ask(self, probe: "_Probe", kind: str) -> bool:
        why = self._failure(probe.spec)
        if kind == "Readiness" and self._fault is Fault.NEVER_READY:
            why = "HTTP probe failed with statuscode: 503"
        if why and probe.first_failure():
            self._tell("Unhealthy", f"{kind} probe failed: {why}")
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
                socket.create_connection((_HOST, port), timeout=probe["timeoutSeconds"]).close()
                return ""
            status = _status(port, wanted.get("path", "/"), probe["timeoutSeconds"])
        except (OSError, http.client.HTTPException) as error:
            return str(error)
        return "" if 200 <= status < 400 else f"HTTP probe failed with statuscode: {status}"

    def _kill(self, probe: str, process: subprocess.Popen[bytes]) -> None:
        name = self._container["name"]
        self._tell("Killing", f"Container {name} failed {probe.lower()} probe, will be restarted")
        self._stop(process)

    def _tell(self, reason: str, message: str, component: str = "kubelet") -> None:
        self._controller.tell(self._pod, "Warning", reason, message, component)

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
                "hostIP": _HOST,
                "podIP": _HOST,
            },
        )


class _Probe:
    """How a probe has gone: it fails for good after `failureThreshold` periods without a pass."""

    def __init__(self, spec: Object) -> None:
        self.spec = _PROBE_DEFAULTS | spec
        self.passed = False
        self._failing_since: float | None = None
        patience = self.spec["periodSeconds"] * self.spec["failureThreshold"]
        self._patience = patience + self.spec["initialDelaySeconds"]

    def first_failure(self) -> bool:
        """Whether no failure came since the last pass."""
        return self._failing_since is None

    def take(self, *, passed: bool) -> None:
        """Note an answer."""
        self.passed = passed
        if passed:
            self._failing_since = None
        elif self._failing_since is None:
            self._failing_since = time.monotonic()

    def has_failed(self) -> bool:
        """Whether it failed for as long as it may."""
        return self._failing_since is not None and time.monotonic() - self._failing_since > self._patience


def _status(port: int, path: str, timeout: float) -> int:
    connection = http.client.HTTPConnection(_HOST, port, timeout=timeout)
    with contextlib.closing(connection):
        connection.request("GET", path, headers={"User-Agent": "kube-probe/1.32", "Connection": "close"})
        return connection.getresponse().status


def _copy(source: int, log: Log) -> None:
    while data := os.read(source, 1 << 16):
        log.write(data)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind((_HOST, 0))
        return int(free.getsockname()[1])


def _owner(pod: Object) -> str:
    return str(next((one["uid"] for one in pod["metadata"].get("ownerReferences", [])), ""))


def _stays(pod: Object) -> bool:
    return "deletionTimestamp" not in pod["metadata"]


def _is_ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)

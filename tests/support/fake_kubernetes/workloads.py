"""A FAKE of the controllers of Deployments and Services and of the node below them: each Pod is a real container.

A Deployment becomes a ReplicaSet and Pods; Podman runs each Pod's one container, pulled from the registry with the
Pod's own pull secrets, as the user and with the rights, the memory and the volumes that the Pod names. Readiness is
asked for over HTTP. A Service is a listener on an address of its own, open while a container behind it is ready.

Namespaces are as on OpenShift: Pod Security `restricted`, users from a range, and their ResourceQuotas count. Not
here: a Deployment whose template changes while it runs, several containers in a Pod, init containers, DNS names,
network policies, node selectors. A deleted Pod is gone from the API at once; its container gets its grace period.
"""

import contextlib
import hashlib
import json
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from support.fake_kubernetes.admission import violations
from support.fake_kubernetes.controller import Controller
from support.fake_kubernetes.objects import (
    Object,
    condition,
    is_owned,
    key,
    matches,
    now,
    owned,
    with_conditions,
)
from support.fake_kubernetes.pod_process import Fault, PodProcess
from support.fake_kubernetes.probes import HOST
from support.fake_kubernetes.quotas import outside_limits, over_quota, with_defaults
from support.fake_kubernetes.service_proxy import Address, Proxy, ServiceAddress
from support.fake_kubernetes.store import Refused

__all__ = ["Fault", "WorkloadController"]

_PROGRESS_DEADLINE = 600


class WorkloadController(Controller):
    """Runs the fake's Deployments and Services.

    Args:
        cert_dir: A folder with the CA that the nodes trust for registries; without one, they do not check certificates.
    """

    def __init__(self, cert_dir: Path | None = None) -> None:
        self.cert_dir = cert_dir
        self.fault: Fault | None = None
        self._pods: dict[str, PodProcess] = {}
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
        wanted, status = deployment["spec"].get("replicas", 1), replica_set.get("status", {})
        available = status.get("availableReplicas", 0)
        name = replica_set["metadata"]["name"]
        late = time.monotonic() - self._begun[replica_set["metadata"]["uid"]]
        if available >= wanted:
            detail = ("True", "NewReplicaSetAvailable", f'ReplicaSet "{name}" has successfully progressed.')
        elif late > deployment["spec"].get("progressDeadlineSeconds", _PROGRESS_DEADLINE):
            detail = ("False", "ProgressDeadlineExceeded", f'ReplicaSet "{name}" has timed out progressing.')
        else:
            detail = ("True", "ReplicaSetUpdated", f'ReplicaSet "{name}" is progressing.')
        enough = ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
        too_few = ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
        minimum = condition("Available", *(enough if available >= wanted else too_few))
        failures = [each for each in status.get("conditions", []) if each["type"] == "ReplicaFailure"]
        before = [
            each for each in deployment.get("status", {}).get("conditions", []) if each["type"] != "ReplicaFailure"
        ]
        return {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": status.get("replicas", 0),
            "updatedReplicas": status.get("replicas", 0),
            "readyReplicas": status.get("readyReplicas", 0),
            "availableReplicas": available,
            "unavailableReplicas": max(0, wanted - available),
            "conditions": with_conditions(before, minimum, condition("Progressing", *detail), *failures),
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
                self.record_event(
                    replica_set, "Warning", "FailedCreate", f"Error creating: {refused}", "replicaset-controller"
                )
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
        ranges = self.fake.objects("LimitRange", namespace)
        pod = with_defaults(pod, ranges)
        if refused := self._refused(pod) or outside_limits(pod, ranges):
            return f'pods "{name}-{replica_set["metadata"]["uid"][:5]}" is forbidden: {refused}'
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
            detail = "requested: limits.memory=256Mi, used: limits.memory=1Gi, limited: limits.memory=1Gi"
            return f"exceeded quota: staging, {detail}"
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
                self._pods[uid] = PodProcess(self, pod, self._faults.get(uid))
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
                host_port = self._pods[pod["metadata"]["uid"]].host_port(port.get("targetPort", port["port"]))
                if host_port is not None:
                    yield HOST, host_port


def _owner(pod: Object) -> str:
    return str(next((one["uid"] for one in pod["metadata"].get("ownerReferences", [])), ""))


def _stays(pod: Object) -> bool:
    return "deletionTimestamp" not in pod["metadata"]


def _is_ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)

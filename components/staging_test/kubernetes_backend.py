"""The staging backend for a cluster: the candidate is the pod of a Deployment, behind a Service."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from kfp_edge.components.staging_test import manifests, pod_status
from kfp_edge.components.staging_test.backend import GRACE_SECONDS, PORT, ContainerState
from kfp_edge.components.staging_test.candidate import Candidate
from kfp_edge.components.staging_test.staging_options import StagingOptions
from kfp_edge.kubernetes import Cluster, ClusterError
from kfp_edge.kubernetes.metadata import label_selector, unique_name
from kfp_edge.reports.check import Check
from kfp_edge.runtime.signals import deferred_signals

#: Seconds after the grace period in which Kubernetes reports that a pod has ended.
_REPORT_SECONDS = 30
#: Seconds to wait for lines of the log that have not arrived yet.
_LOG_SECONDS = 2.0


class KubernetesBackend:
    """A `StagingBackend` in the namespace of `cluster`."""

    poll_interval = 0.5
    no_response_hint = "the pod is ready, so look for a NetworkPolicy between this pod and its Service"

    def __init__(self, cluster: Cluster, name: str, labels: Mapping[str, str]) -> None:
        self._cluster = cluster
        self._name = name
        self._pod = ""
        self._log: _LogReader | None = None
        self.labels = labels

    @property
    def url(self) -> str:
        """The URL of the Service, by its IP address, since the cluster's DNS may not have its name yet."""
        service = self._cluster.get("Service", self._name)
        if service is None:
            raise ClusterError(f"the Service {self._name} in {self._cluster.namespace} was deleted by another client.")
        address: str = service["spec"]["clusterIP"]
        return f"http://{f'[{address}]' if ':' in address else address}:{PORT}"

    def wait_for_start(self, seconds: float) -> Iterator[Check]:
        """Wait until Kubernetes reports the pod as ready or waiting cannot help, and yield that as a check."""
        required = f"ready within {seconds:g} s of its creation"
        start = time.monotonic()
        while not (status := self._read_status()).ready:
            if status.unrecoverable or time.monotonic() > start + seconds:
                yield Check("pod", False, self._with_last_warning(status.reason), required)
                return
            time.sleep(self.poll_interval)
        yield Check("pod", True, f"ready after {time.monotonic() - start:.2f} s", required)

    def state(self) -> ContainerState:
        """Return the current state of the container."""
        pod = self._cluster.get("Pod", self._pod)
        if pod is None:
            return ContainerState(False, None, "its pod was deleted by another client")
        return pod_status.container_state(pod)

    def stop(self) -> ContainerState:
        """Scale the Deployment to zero, as a rollout stops a pod, and return how the container ended.

        The watch begins before that, since the kubelet reports the end just before it deletes the pod.
        """
        scaled = False
        for pod in self._cluster.watch("Pod", self._pod, GRACE_SECONDS + _REPORT_SECONDS):
            if pod is None:
                return ContainerState(False, None, "Kubernetes did not report how")
            if not (state := pod_status.container_state(pod)).running:
                return state
            if not scaled:
                self._cluster.patch("Deployment", self._name, {"spec": {"replicas": 0}})
                scaled = True
        return ContainerState(True)

    def log(self) -> str:
        """Return the container's output so far."""
        return "" if self._log is None else self._log.text()

    def _read_status(self) -> pod_status.PodStatus:
        pods = self._cluster.list("Pod", label_selector({manifests.INSTANCE_LABEL: self._name}))
        if not pods:
            return pod_status.status_without_pod(self._cluster.get("Deployment", self._name))
        pod = pod_status.first_created(pods)
        self._pod = pod["metadata"]["name"]
        if self._log is None and pod_status.has_started(pod):
            self._log = _LogReader(self._cluster, self._pod)
        return pod_status.pod_status(pod)

    def _with_last_warning(self, reason: str) -> str:
        pod = self._cluster.get("Pod", self._pod) if self._pod else None
        if pod is None:
            return reason
        warning = pod_status.last_warning(self._cluster.list("Event"), pod, reported=reason)
        return f"{reason}; {warning}" if warning else reason


class _LogReader:
    """Reads the log of a container from its start, since the log of a deleted pod cannot be read."""

    def __init__(self, cluster: Cluster, pod: str) -> None:
        self._lines: list[str] = []
        self._thread = threading.Thread(target=self._read, args=(cluster, pod), daemon=True)
        self._thread.start()

    def text(self) -> str:
        """Return the lines so far; all of them, if the container has ended."""
        self._thread.join(_LOG_SECONDS)
        return "\n".join(self._lines)

    def _read(self, cluster: Cluster, pod: str) -> None:
        try:
            for line in cluster.log(pod, manifests.CONTAINER_NAME):
                self._lines.append(line)
        except ClusterError as error:
            self._lines.append(f"(the rest of the log cannot be read: {error})")


@contextmanager
def run_candidate(candidate: Candidate, options: StagingOptions, run_id: str) -> Iterator[KubernetesBackend]:
    """Run a candidate in the staging namespace until the block ends; then delete it in any case.

    Raises:
        KfpEdgeError: the cluster refuses, or mounts no images.
    """
    cluster = Cluster.connect(options.namespace)
    name = unique_name("staging", run_id)
    try:
        with deferred_signals():
            deployment = cluster.create(manifests.deployment_manifest(name, candidate, options, run_id))
            manifests.check_volumes(deployment, candidate)
            cluster.create(manifests.service_manifest(name, options, run_id, deployment))
        yield KubernetesBackend(cluster, name, candidate.labels)
    finally:
        with deferred_signals():
            _delete(cluster, name)


def _delete(cluster: Cluster, name: str) -> None:
    for kind in ("Deployment", "Service"):
        try:
            cluster.delete(kind, name)
        except ClusterError as error:  # must not hide the result of the test
            print(f"warning: the {kind} {name} stays until the next clean-up: {error}", flush=True)

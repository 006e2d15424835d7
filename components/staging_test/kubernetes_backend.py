"""The candidate as the pod of a Deployment, reached over a Service."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from kfp_edge.cluster import Cluster, ClusterError
from kfp_edge.cluster.metadata import label_selector, unique_name
from kfp_edge.components.staging_test import manifests, pod_status
from kfp_edge.components.staging_test.backend import GRACE, PORT, ContainerState
from kfp_edge.components.staging_test.staging_options import StagingOptions
from kfp_edge.errors import KfpEdgeError
from kfp_edge.images.references import ImageRef
from kfp_edge.images.registry import read_labels, select_platform
from kfp_edge.reports.check import Check
from kfp_edge.runtime.signals import deferred_signals

#: Seconds that Kubernetes has after the grace period to tell that a pod is gone.
_MARGIN = 30
#: Seconds that are waited for lines of the log that are still on their way.
_LAST_LINES = 2.0


class KubernetesBackend:
    """A `Candidate` in the namespace of `cluster`."""

    poll = 0.5
    silence = "the pod is ready, so look for a NetworkPolicy between this pod and its Service"

    def __init__(self, cluster: Cluster, name: str, labels: Mapping[str, str]) -> None:
        self._cluster = cluster
        self._name = name
        self._pod = ""
        self._log: _Log | None = None
        self.labels = labels

    @property
    def url(self) -> str:
        """Where the Service is reached: by its address, for the cluster's DNS may not know its name yet."""
        service = self._cluster.get("Service", self._name)
        if service is None:
            raise KfpEdgeError(f"the Service {self._name} in {self._cluster.namespace} was deleted by somebody else.")
        address: str = service["spec"]["clusterIP"]
        return f"http://{f'[{address}]' if ':' in address else address}:{PORT}"

    def starts(self, seconds: float) -> Iterator[Check]:
        """Wait until Kubernetes finds the pod ready, no longer than that may help, and yield it as a check."""
        required = f"ready within {seconds:g} s of its creation"
        start = time.monotonic()
        while not (found := self._look()).ready:
            if found.hopeless or time.monotonic() > start + seconds:
                yield Check("pod", False, self._explained(found.reason), required)
                return
            time.sleep(self.poll)
        yield Check("pod", True, f"ready after {time.monotonic() - start:.2f} s", required)

    def state(self) -> ContainerState:
        """Look at the container now."""
        pod = self._cluster.get("Pod", self._pod)
        return (
            ContainerState(False, None, "its pod was deleted by somebody else")
            if pod is None
            else pod_status.state_of(pod)
        )

    def stop(self) -> ContainerState:
        """Scale the Deployment to zero, as a roll-out ends a pod, and watch how the container ends.

        The kubelet reports a container's end just before it removes the pod: so the watch begins before the end.
        """
        asked = False
        for pod in self._cluster.watch("Pod", self._pod, GRACE + _MARGIN):
            if pod is None:
                return ContainerState(False, None, "Kubernetes did not tell how")
            if not (state := pod_status.state_of(pod)).running:
                return state
            if not asked:
                self._cluster.patch("Deployment", self._name, {"spec": {"replicas": 0}})
                asked = True
        return ContainerState(True)

    def log(self) -> str:
        """Return what the container wrote so far."""
        return "" if self._log is None else self._log.text()

    def _look(self) -> pod_status.PodStatus:
        found = self._cluster.list("Pod", label_selector({manifests.INSTANCE: self._name}))
        if not found:
            return pod_status.status_without_pod(self._cluster.get("Deployment", self._name))
        pod = pod_status.first(found)
        self._pod = pod["metadata"]["name"]
        if self._log is None and pod_status.has_started(pod):
            self._log = _Log(self._cluster, self._pod)
        return pod_status.pod_status(pod)

    def _explained(self, reason: str) -> str:
        """Return a reason with the last warning that Kubernetes gave about the pod."""
        pod = self._cluster.get("Pod", self._pod) if self._pod else None
        if pod is None:
            return reason
        told = pod_status.warning(self._cluster.list("Event"), pod, known=reason)
        return f"{reason}; {told}" if told else reason


class _Log:
    """Follows the log of a container from its start: once its pod is deleted, nobody can read it any more."""

    def __init__(self, cluster: Cluster, pod: str) -> None:
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read, args=(cluster, pod), daemon=True)
        self._reader.start()

    def text(self) -> str:
        """Return the lines so far; of a container that ended, all."""
        self._reader.join(_LAST_LINES)
        return "\n".join(self._lines)

    def _read(self, cluster: Cluster, pod: str) -> None:
        try:
            for line in cluster.log(pod, manifests.CONTAINER):
                self._lines.append(line)
        except ClusterError as error:
            self._lines.append(f"(the log cannot be read further: {error})")


@contextmanager
def running(image: ImageRef, options: StagingOptions, run_id: str) -> Iterator[KubernetesBackend]:
    """Have a candidate in the staging namespace while the block runs; whatever happens, it is deleted after it.

    Raises:
        KfpEdgeError: the image cannot be had, or the cluster refuses.
    """
    labels = read_labels(select_platform(image))
    cluster = Cluster.connect(options.namespace)
    name = unique_name("staging", run_id)
    try:
        with deferred_signals():
            deployment = cluster.create(manifests.deployment(name, image, options, run_id))
            cluster.create(manifests.service(name, options, run_id, deployment))
        yield KubernetesBackend(cluster, name, labels)
    finally:
        with deferred_signals():
            _delete(cluster, name)


def _delete(cluster: Cluster, name: str) -> None:
    for kind in ("Deployment", "Service"):
        try:
            cluster.delete(kind, name)
        except ClusterError as error:  # what the test found matters more
            print(f"warning: the {kind} {name} stays until the next sweep: {error}", flush=True)

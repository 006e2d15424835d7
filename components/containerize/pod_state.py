"""The pod of a TaskRun and its events, which say more than the TaskRun itself."""

from dataclasses import dataclass

from kfp_edge.kubernetes import Cluster, ClusterError
from kfp_edge.kubernetes.objects import KubernetesObject


@dataclass(frozen=True)
class PodState:
    """The pod of a TaskRun, as far as it is there, and what the cluster reported about it."""

    pod: KubernetesObject | None = None
    events: tuple[KubernetesObject, ...] = ()


class PodReader:
    """Reads the pods of TaskRuns."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._has_warned = False

    def read(self, run: KubernetesObject) -> PodState:
        """Return the pod of a TaskRun; without events, and with one line in the log, if those cannot be read.

        Raises:
            ClusterError: the pod cannot be read.
        """
        name = run.get("status", {}).get("podName", "")
        if not name:
            return PodState()
        pod = self._cluster.get("Pod", name)
        try:
            return PodState(pod, tuple(self._cluster.list_events(name)))
        except ClusterError as error:  # events only explain what the build can also do without
            if not self._has_warned:
                print(f"the events of the pod {name} cannot be read: {error}", flush=True)
            self._has_warned = True
            return PodState(pod)

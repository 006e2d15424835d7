"""The objects of a namespace, read once each."""

from functools import cache

from kfp_edge.kubernetes import Cluster, KubernetesObject


class Namespace:
    """Reads objects of one namespace, each once.

    Every method raises ClusterError when the API does not let us read, or cannot be reached.
    """

    def __init__(self, cluster: Cluster, name: str) -> None:
        self._cluster = cluster
        self.name = name
        self.get = cache(self._get)
        self.list = cache(self._list)

    def _get(self, kind: str, name: str) -> KubernetesObject | None:
        return self._cluster.get(kind, name, self.name)

    def _list(self, kind: str) -> list[KubernetesObject]:
        return self._cluster.list(kind, namespace=self.name)

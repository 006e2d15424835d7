"""Kubernetes, for stages and the client."""

from kfp_edge.cluster.cluster import Cluster
from kfp_edge.cluster.credentials import in_pod
from kfp_edge.cluster.objects import KubernetesObject
from kfp_edge.errors import ClusterError

__all__ = ["Cluster", "ClusterError", "KubernetesObject", "in_pod"]

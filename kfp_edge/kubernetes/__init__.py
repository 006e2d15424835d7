"""Kubernetes, for stages and the client."""

from kfp_edge.errors import ClusterError
from kfp_edge.kubernetes.cluster import Cluster
from kfp_edge.kubernetes.credentials import in_pod
from kfp_edge.kubernetes.objects import KubernetesObject

__all__ = ["Cluster", "ClusterError", "KubernetesObject", "in_pod"]

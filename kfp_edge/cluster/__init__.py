"""Kubernetes as stages and the client use it."""

from kfp_edge.cluster.cluster import Cluster
from kfp_edge.cluster.credentials import in_pod
from kfp_edge.errors import ClusterError

__all__ = ["Cluster", "ClusterError", "in_pod"]

"""Kubernetes as stages and the client use it."""

from kfp_edge.cluster.access import in_pod
from kfp_edge.cluster.api import ClusterError
from kfp_edge.cluster.cluster import Cluster

__all__ = ["Cluster", "ClusterError", "in_pod"]

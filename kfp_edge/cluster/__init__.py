"""Kubernetes as stages and the client use it."""

from kfp_edge.cluster.api import ClusterError
from kfp_edge.cluster.cluster import Cluster
from kfp_edge.cluster.credentials import in_pod

__all__ = ["Cluster", "ClusterError", "in_pod"]

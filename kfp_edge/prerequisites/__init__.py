"""What a run needs of the namespaces of a cluster, and what they lack, found before the run is started."""

from kfp_edge.prerequisites.check import check_namespaces
from kfp_edge.prerequisites.pod_needs import PodNeeds
from kfp_edge.prerequisites.run_needs import find_run_needs

__all__ = ["PodNeeds", "check_namespaces", "find_run_needs"]

"""The page of a run for people.

The API server of OpenShift AI has no pages: its dashboard has them, at an address of its own. OpenShift names that in
the ConsoleLink `rhodslink`, which everybody who is logged in may read; and the dashboard leads the path below, which
is made for clients of pipelines, to the page of the run, wherever that is in its version. The pages of KFP itself are
below the host of its API server.
"""

from kfp_edge.kubernetes import Cluster, ClusterError

_LINK = "rhodslink"


def find_dashboard(cluster: Cluster) -> str:
    """Return the address of OpenShift AI's dashboard; empty if the cluster has none, or does not say."""
    try:
        link = cluster.get("ConsoleLink", _LINK)
    except ClusterError:
        return ""  # the link of a run may be wrong, but nothing else
    return str((link or {}).get("spec", {}).get("href", "")).rstrip("/")


def run_url(host: str, namespace: str, dashboard: str, run_id: str) -> str:
    """Return the page of a run: in the dashboard of OpenShift AI if there is one, else below the API server's host."""
    base = f"{dashboard}/external/pipelinesSdk/{namespace}" if dashboard else host
    return f"{base}/#/runs/details/{run_id}"

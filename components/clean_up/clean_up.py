"""Delete what a run left in a cluster, and what runs left that died before they could."""

from collections.abc import Mapping
from typing import Any

from kfp_edge.cluster import Cluster, ClusterError, in_pod
from kfp_edge.cluster.labels import CONTEXT, MANAGED_BY, RUN, expired, selector
from kfp_edge.errors import KfpEdgeError

# Owners first: what they own goes with them.
_OF_BUILDS = ("TaskRun", "Secret")
_OF_STAGING = ("Deployment", "Service")
# Not allowed to look, or no such kind in this cluster: then this line cannot have made any.
_NOTHING_OF_OURS = (403, 404)


def clean_up(run_id: str, staging_options: Mapping[str, Any]) -> None:
    """Delete what the run built and staged with, and that of any run whose time is over.

    Builds are looked for in the namespace of the pipeline, with their contexts in the object store, candidates in the
    namespace for staging. Outside of a pod nothing is done: there the stages clean up behind themselves.

    Args:
        run_id: The run that ends, empty for none: then only what has expired goes.
        staging_options: Only `namespace` is read, the pipeline's own when it is empty.

    Raises:
        KfpEdgeError: something could not be deleted; all else was.
    """
    if not in_pod():
        print("nothing to clean up: this is not a pod of a cluster", flush=True)
        return
    cluster = Cluster.connect()
    staging = str(staging_options.get("namespace") or cluster.namespace)
    places = [(kind, cluster.namespace) for kind in _OF_BUILDS] + [(kind, staging) for kind in _OF_STAGING]
    failures: list[KfpEdgeError] = []
    for kind, namespace in places:
        try:
            found = cluster.list(kind, selector({MANAGED_BY: "kfp-edge"}), namespace)
        except ClusterError as error:
            print(f"{kind}s in {namespace}: {error}", flush=True)
            if error.status not in _NOTHING_OF_OURS:
                failures.append(error)
            continue
        for left in found:
            if why := _why(left, run_id):
                failures += _delete(cluster, left, why)
    if failures:
        raise failures[0]


def _why(left: Mapping[str, Any], run_id: str) -> str:
    """Return why an object is to go, empty when it is to stay."""
    if run_id and left["metadata"]["labels"].get(RUN) == run_id:
        return "this run left it"
    return "its time was over" if expired(left) else ""


def _delete(cluster: Cluster, left: Mapping[str, Any], why: str) -> list[KfpEdgeError]:
    """Delete an object, after what it names in the object store: without it, nobody would know of that."""
    metadata, kind = left["metadata"], left["kind"]
    place = f"{kind} {metadata['name']} in {metadata['namespace']}"
    try:
        if context := (metadata.get("annotations") or {}).get(CONTEXT):
            from kfp_edge.storage.s3 import delete  # takes longer to import than this stage needs on a laptop

            delete(context)
        if cluster.delete(kind, metadata["name"], metadata["namespace"]):
            print(f"deleted {place}: {why}", flush=True)
    except KfpEdgeError as error:
        print(f"{place} stays: {error}", flush=True)
        return [error]
    return []

"""Delete what a run left in a cluster, and what other runs left there that ended before they could clean up."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from kfp_edge.errors import KfpEdgeError
from kfp_edge.kubernetes import Cluster, ClusterError, KubernetesObject, in_pod
from kfp_edge.kubernetes.metadata import CONTEXT_ANNOTATION, MANAGED_BY_LABEL, RUN_LABEL, is_expired, label_selector
from kfp_edge.retraining.claims import end_claim

# TaskRuns first: their pods read the context. The Secret of a build names it.
_BUILD_KINDS = ("TaskRun", "Secret")
# The Deployment first: it owns the Service.
_STAGING_KINDS = ("Deployment", "Service")
# Not allowed to list, or no such kind in this cluster: then no run can have created any.
_NOTHING_TO_DELETE = (403, 404)


def clean_up(run_id: str, staging_options: Mapping[str, Any], retraining_state: str = "", model_name: str = "") -> None:
    """End the claim of a run on the retraining of a model, and delete what it left in the cluster.

    Args:
        run_id: The run that ends; empty for none: then only expired objects are deleted.
        staging_options: Only `namespace` is read; the pipeline's own if empty.
        retraining_state: Where claims are kept; empty for a run without one.
        model_name: The name of the model.

    Raises:
        KfpEdgeError: the claim could not be ended, or an object could not be deleted; all others were.
    """
    errors: list[KfpEdgeError] = []
    if retraining_state:
        try:
            if end_claim(retraining_state, model_name, run_id, datetime.now(UTC)):
                print(f"ended the claim of this run on the retraining of {model_name}", flush=True)
        except KfpEdgeError as error:
            print(str(error), flush=True)
            errors.append(error)
    if in_pod():
        errors += _delete_objects(run_id, staging_options)
    else:
        print("nothing to delete: this is not a pod of a cluster", flush=True)
    if errors:
        raise errors[0]


def _delete_objects(run_id: str, staging_options: Mapping[str, Any]) -> list[KfpEdgeError]:
    """Delete the objects that the run created for its build and its staging test, and the expired ones of any run.

    Builds are in the namespace of the pipeline, their contexts in the object store, and candidates in the staging
    namespace. Outside a pod the stages clean up themselves.

    Returns:
        The errors of objects that could not be deleted; all others were.
    """
    cluster = Cluster.connect()
    staging = str(staging_options.get("namespace") or cluster.namespace)
    locations = [(kind, cluster.namespace) for kind in _BUILD_KINDS] + [(kind, staging) for kind in _STAGING_KINDS]
    errors: list[KfpEdgeError] = []
    for kind, namespace in locations:
        try:
            resources = cluster.list(kind, label_selector({MANAGED_BY_LABEL: "kfp-edge"}), namespace)
        except ClusterError as error:
            print(f"{kind}s in {namespace}: {error}", flush=True)
            if error.status not in _NOTHING_TO_DELETE:
                errors.append(error)
            continue
        for resource in resources:
            if reason := _deletion_reason(resource, run_id):
                errors += _delete(cluster, resource, reason)
    return errors


def _deletion_reason(resource: KubernetesObject, run_id: str) -> str:
    """Return why an object is to be deleted, empty if it is to stay."""
    if run_id and resource["metadata"]["labels"].get(RUN_LABEL) == run_id:
        return "left by this run"
    return "expired" if is_expired(resource) else ""


def _delete(cluster: Cluster, resource: KubernetesObject, reason: str) -> list[KfpEdgeError]:
    """Delete an object; before that its build context in the object store, which nothing else refers to."""
    metadata, kind = resource["metadata"], resource["kind"]
    description = f"{kind} {metadata['name']} in {metadata['namespace']}"
    try:
        if context := (metadata.get("annotations") or {}).get(CONTEXT_ANNOTATION):
            from kfp_edge.storage import s3  # its import takes longer than this stage on a laptop

            s3.delete(context)
        if cluster.delete(kind, metadata["name"], metadata["namespace"]):
            print(f"deleted {description}: {reason}", flush=True)
    except KfpEdgeError as error:
        print(f"could not delete {description}: {error}", flush=True)
        return [error]
    return []

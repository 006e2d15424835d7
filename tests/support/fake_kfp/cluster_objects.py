"""The Workflow and the pods of a simulated run, as Argo and the kubelet write them into a (fake) cluster."""

from typing import Any

from kfp_edge.client.runs.argo_nodes import NODE_NAME_ANNOTATION
from kfp_edge.client.runs.in_cluster import RUN_LABEL
from support.fake_kfp.workflow import FakeWorkflow, Node
from support.fake_kubernetes import FakeKubernetes
from support.fake_kubernetes.objects import container_status, now, running, terminated, waiting

Object = dict[str, Any]

_PHASES = {
    "PENDING": "Pending",
    "RUNNING": "Running",
    "SUCCEEDED": "Succeeded",
    "FAILED": "Failed",
    "SKIPPED": "Skipped",
    "OMITTED": "Omitted",
}
_EXECUTED = ("PENDING", "RUNNING", "SUCCEEDED", "FAILED")


def apply_workflow(cluster: FakeKubernetes, namespace: str, run_id: str, workflow: FakeWorkflow) -> None:
    """Write the Workflow of a run, and those pods whose state has changed since the last call."""
    cluster.apply(_workflow(namespace, run_id, workflow))
    owner = cluster.store.get("Workflow", namespace, workflow.name)
    for node in workflow.nodes.values():
        name = pod_name(workflow, node)
        if not node.is_pod or node.state not in _EXECUTED:
            continue
        before = cluster.store.get("Pod", namespace, name) if cluster.store.has("Pod", namespace, name) else None
        if before is None or before["metadata"]["annotations"][_STATE_ANNOTATION] != node.state:
            cluster.apply(_pod(workflow, node, run_id, owner))
            _write_log(cluster, namespace, name, workflow, node)


def pod_name(workflow: FakeWorkflow, node: Node) -> str:
    """Return the name of a node's pod (argo-workflows, `GeneratePodName`)."""
    template = "system-container-driver" if node.display_name.endswith("-driver") else "system-container-impl"
    return f"{workflow.name}-{template}-{workflow.id_of(node).rpartition('-')[2]}"


#: Says which state of a node a pod of the fake shows.
_STATE_ANNOTATION = "fake/state"


def _workflow(namespace: str, run_id: str, workflow: FakeWorkflow) -> Object:
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": workflow.name, "namespace": namespace, "labels": {RUN_LABEL: run_id}},
        "spec": {"entrypoint": "entrypoint", **({"activeDeadlineSeconds": 0} if workflow.is_terminated else {})},
        "status": {
            "phase": _PHASES[workflow.state],
            "nodes": {workflow.id_of(node): _node(workflow, node) for node in workflow.nodes.values()},
        },
    }


def _node(workflow: FakeWorkflow, node: Node) -> Object:
    return {
        "id": workflow.id_of(node),
        "name": node.name,
        "displayName": node.display_name,
        "type": "Pod" if node.is_pod else "DAG",
        "phase": _PHASES[node.state],
        "startedAt": node.start.strftime("%Y-%m-%dT%H:%M:%SZ"),
        **({"message": "Error (exit code 1)"} if node.is_pod and node.state == "FAILED" else {}),
    }


def _pod(workflow: FakeWorkflow, node: Node, run_id: str, owner: Object) -> Object:
    state = {
        "PENDING": waiting("PodInitializing"),
        "RUNNING": running(),
        "SUCCEEDED": terminated(0, "Completed", now()),
        "FAILED": terminated(1, "Error", now()),
    }[node.state]
    containers = [{"name": name, "image": "example.com/runtime:1"} for name in ("main", "wait")]
    containers[0]["resources"] = {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod_name(workflow, node),
            "namespace": owner["metadata"]["namespace"],
            "labels": {RUN_LABEL: run_id, "workflows.argoproj.io/workflow": workflow.name},
            "annotations": {NODE_NAME_ANNOTATION: node.name, _STATE_ANNOTATION: node.state},
            "ownerReferences": [
                {
                    "apiVersion": owner["apiVersion"],
                    "kind": "Workflow",
                    "name": workflow.name,
                    "uid": owner["metadata"]["uid"],
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": {"restartPolicy": "Never", "containers": containers},
        "status": {
            "phase": _PHASES[node.state],
            "containerStatuses": [container_status(container, state) for container in containers],
        },
    }


def _write_log(cluster: FakeKubernetes, namespace: str, pod: str, workflow: FakeWorkflow, node: Node) -> None:
    if node.state in ("SUCCEEDED", "FAILED"):
        with cluster.set_log(namespace, pod, "main") as log:
            for line in workflow.log(node):
                log.write(f"{line}\n")

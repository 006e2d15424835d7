"""The objects that a staging test makes in a cluster: a Deployment, and a Service in front of its pod."""

from collections.abc import Mapping
from typing import Any

from kfp_edge.cluster.metadata import EXPIRES_ANNOTATION, expiry_time, run_labels
from kfp_edge.components.staging_test.backend import GRACE, PORT
from kfp_edge.components.staging_test.staging_options import StagingOptions
from kfp_edge.images.references import ImageRef

#: The name of the pod's only container.
CONTAINER = "candidate"
#: The label that no other Deployment's pods have; its value is the Deployment's name.
INSTANCE = "app.kubernetes.io/instance"


def deployment(name: str, image: ImageRef, options: StagingOptions, run_id: str) -> dict[str, Any]:
    """Return a Deployment of one pod that the Pod Security Standard `restricted` admits.

    Requests equal limits: the latency that is measured must not depend on what else the node runs. There is no
    volume, as on one machine, and no liveness probe: a candidate that hangs has to fail the test, not be restarted.
    """
    metadata = _metadata(name, options, run_id)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": 1,
            "revisionHistoryLimit": 0,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": {INSTANCE: name}},
            "template": {"metadata": {"labels": metadata["labels"]}, "spec": _pod(image, options)},
        },
    }


def service(name: str, options: StagingOptions, run_id: str, owner: Mapping[str, Any]) -> dict[str, Any]:
    """Return the Service of the same name; it goes when its owner, the Deployment as it was created, goes."""
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": owner["metadata"]["uid"]}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {**_metadata(name, options, run_id), "ownerReferences": [reference]},
        "spec": {
            "type": "ClusterIP",
            "selector": {INSTANCE: name},
            "ports": [{"name": "http", "port": PORT, "targetPort": "http", "protocol": "TCP"}],
        },
    }


def _metadata(name: str, options: StagingOptions, run_id: str) -> dict[str, Any]:
    return {
        "name": name,
        "labels": {**run_labels("staging", run_id), INSTANCE: name},
        "annotations": {EXPIRES_ANNOTATION: expiry_time(options.ttl)},
    }


def _pod(image: ImageRef, options: StagingOptions) -> dict[str, Any]:
    pod: dict[str, Any] = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE,
        # No runAsUser: OpenShift assigns one to each namespace.
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [_container(image, options)],
    }
    if options.service_account:
        pod["serviceAccountName"] = options.service_account
    if options.pull_secret:
        pod["imagePullSecrets"] = [{"name": options.pull_secret}]
    if options.node_selector:
        pod["nodeSelector"] = dict(options.node_selector)
    if options.tolerations:
        pod["tolerations"] = [toleration.model_dump(exclude_none=True) for toleration in options.tolerations]
    return pod


def _container(image: ImageRef, options: StagingOptions) -> dict[str, Any]:
    resources = {"cpu": options.cpu, "memory": options.memory}
    return {
        "name": CONTAINER,
        "image": f"{image.repository}@{image.digest}",
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        "readinessProbe": {
            "httpGet": {"path": "/v2/health/ready", "port": "http"},
            "periodSeconds": 1,
            "timeoutSeconds": 5,
        },
        "resources": {"requests": resources, "limits": dict(resources)},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }

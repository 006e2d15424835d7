"""The Kubernetes objects of a staging test: a Deployment, and a Service in front of its pod."""

from kfp_edge.components.staging_test.backend import ENVIRONMENT, GRACE_SECONDS, PORT
from kfp_edge.components.staging_test.staging_options import StagingOptions
from kfp_edge.images.oci.references import ImageRef
from kfp_edge.kubernetes.metadata import EXPIRES_ANNOTATION, expiry_time, run_labels
from kfp_edge.kubernetes.objects import (
    KubernetesObject,
    guaranteed_resources,
    owner_reference,
    unprivileged_context,
)

#: The name of the pod's only container.
CONTAINER_NAME = "candidate"
#: The label that selects the pods of one Deployment; its value is the Deployment's name.
INSTANCE_LABEL = "app.kubernetes.io/instance"


def deployment_manifest(name: str, image: ImageRef, options: StagingOptions, run_id: str) -> KubernetesObject:
    """Return a Deployment of one pod that the Pod Security Standard `restricted` admits.

    Requests equal limits, so that the measured latency does not depend on the pod's neighbors. There is no volume, as
    with Podman, and no liveness probe: a candidate that hangs has to fail the test and not to be restarted.
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
            "selector": {"matchLabels": {INSTANCE_LABEL: name}},
            "template": {"metadata": {"labels": metadata["labels"]}, "spec": _pod_spec(image, options)},
        },
    }


def service_manifest(name: str, options: StagingOptions, run_id: str, deployment: KubernetesObject) -> KubernetesObject:
    """Return the Service of the same name, owned by the Deployment as the API returned it."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {**_metadata(name, options, run_id), "ownerReferences": [owner_reference(deployment)]},
        "spec": {
            "type": "ClusterIP",
            "selector": {INSTANCE_LABEL: name},
            "ports": [{"name": "http", "port": PORT, "targetPort": "http", "protocol": "TCP"}],
        },
    }


def _metadata(name: str, options: StagingOptions, run_id: str) -> KubernetesObject:
    return {
        "name": name,
        "labels": {**run_labels("staging", run_id), INSTANCE_LABEL: name},
        "annotations": {EXPIRES_ANNOTATION: expiry_time(options.ttl)},
    }


def _pod_spec(image: ImageRef, options: StagingOptions) -> KubernetesObject:
    spec: KubernetesObject = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        # no runAsUser: OpenShift assigns one to each namespace
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [_container(image, options)],
    }
    if options.service_account:
        spec["serviceAccountName"] = options.service_account
    if options.pull_secret:
        spec["imagePullSecrets"] = [{"name": options.pull_secret}]
    if options.node_selector:
        spec["nodeSelector"] = dict(options.node_selector)
    if options.tolerations:
        spec["tolerations"] = options.tolerations_json()
    return spec


def _container(image: ImageRef, options: StagingOptions) -> KubernetesObject:
    return {
        "name": CONTAINER_NAME,
        "image": f"{image.repository}@{image.digest}",
        "imagePullPolicy": "IfNotPresent",
        "env": [{"name": name, "value": value} for name, value in ENVIRONMENT.items()],
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        "readinessProbe": {
            "httpGet": {"path": "/v2/health/ready", "port": "http"},
            "periodSeconds": 1,
            "timeoutSeconds": 5,
        },
        "resources": guaranteed_resources(options.cpu, options.memory),
        "securityContext": {**unprivileged_context(), "readOnlyRootFilesystem": True},
    }

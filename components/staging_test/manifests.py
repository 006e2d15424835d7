"""The Kubernetes objects of a staging test: a Deployment, and a Service in front of its pod."""

from kfp_edge.components.staging_test.backend import ENVIRONMENT, GRACE_SECONDS, PORT
from kfp_edge.components.staging_test.candidate import MODEL_FOLDER, Candidate
from kfp_edge.components.staging_test.staging_options import StagingOptions
from kfp_edge.images.oci.references import ImageRef
from kfp_edge.kubernetes import ClusterError
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
_VOLUME = "modelcar"


def deployment_manifest(name: str, candidate: Candidate, options: StagingOptions, run_id: str) -> KubernetesObject:
    """Return a Deployment of one pod that the Pod Security Standard `restricted` admits.

    Requests equal limits, so that the measured latency does not depend on the pod's neighbors. There is no volume, as
    with Podman, but for that of a modelcar, and no liveness probe: a candidate that hangs has to fail the test and not
    to be restarted.
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
            "template": {"metadata": {"labels": metadata["labels"]}, "spec": _pod_spec(candidate, options)},
        },
    }


def check_volumes(deployment: KubernetesObject, candidate: Candidate) -> None:
    """Refuse a cluster that mounts no images, if the candidate needs that: it drops volume and mount without a word.

    Args:
        deployment: The Deployment as the API returned it.
        candidate: What is tested.

    Raises:
        ClusterError: the Deployment has lost its volume.
    """
    volumes = deployment["spec"]["template"]["spec"].get("volumes", [])
    if candidate.server is not None and not any(volume["name"] == _VOLUME for volume in volumes):
        raise ClusterError(
            "this cluster mounts no images as volumes (feature gate ImageVolume of Kubernetes), which a modelcar "
            "without a base needs; set modelcar_base to an image with a shell, or have the gate switched on."
        )


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


def _pod_spec(candidate: Candidate, options: StagingOptions) -> KubernetesObject:
    spec: KubernetesObject = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        # no runAsUser: OpenShift assigns one to each namespace
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [_container(candidate, options)],
    }
    if candidate.server is not None:
        spec |= _modelcar_spec(candidate, options)
    if options.service_account:
        spec["serviceAccountName"] = options.service_account
    if options.pull_secret:
        spec["imagePullSecrets"] = [{"name": options.pull_secret}]
    if options.node_selector:
        spec["nodeSelector"] = dict(options.node_selector)
    if options.tolerations:
        spec["tolerations"] = options.tolerations_json()
    return spec


def _modelcar_spec(candidate: Candidate, options: StagingOptions) -> KubernetesObject:
    """Return how a pod gets the files of a modelcar: an image volume, or a copy made by the shell of its base.

    KServe's sidecar makes a link instead of the copy; it needs the same shell and starts it in the same way, with
    arguments only.
    """
    if not candidate.has_shell:
        return {"volumes": [{"name": _VOLUME, "image": {"reference": _address(candidate.image)}}]}
    copy = f"cp -R /models/. {MODEL_FOLDER}/"
    init: KubernetesObject = {
        "name": "modelcar",
        "image": _address(candidate.image),
        "imagePullPolicy": "IfNotPresent",
        "args": ["sh", "-c", copy],
        "resources": guaranteed_resources(options.cpu, options.memory),
        "securityContext": {**unprivileged_context(), "readOnlyRootFilesystem": True},
        "volumeMounts": [{"name": _VOLUME, "mountPath": MODEL_FOLDER}],
    }
    return {"volumes": [{"name": _VOLUME, "emptyDir": {}}], "initContainers": [init]}


def _modelcar_mount(candidate: Candidate) -> KubernetesObject:
    if candidate.server is None:
        return {}
    mount: KubernetesObject = {"name": _VOLUME, "mountPath": MODEL_FOLDER, "readOnly": True}
    if not candidate.has_shell:
        mount["subPath"] = "models"
    return {"args": candidate.arguments(), "volumeMounts": [mount]}


def _address(image: ImageRef) -> str:
    return f"{image.repository}@{image.digest}"


def _container(candidate: Candidate, options: StagingOptions) -> KubernetesObject:
    return {
        "name": CONTAINER_NAME,
        "image": _address(candidate.runs),
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
        **_modelcar_mount(candidate),
    }

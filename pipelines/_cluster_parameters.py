"""The parameters of a pipeline that count on a cluster only, and what they set on its tasks.

A new one is a field here, and the call that hands it to Kubernetes.
"""

from dataclasses import dataclass, field
from typing import Annotated

from kfp import kubernetes
from kfp.dsl import PipelineTask

from kfp_edge.kubernetes.pod_options import TASK_REQUESTS
from kfp_edge.runtime.mounts import CA_MOUNT, FORGE_MOUNT, GIT_MOUNT, METRICS_MOUNT, MOUNT_ROOT, REGISTRY_MOUNT
from kfp_edge.spec.parameters.groups import ParameterGroup

#: Keys of an OpenShift AI data connection; stages read the environment variables of the same names.
DATA_CONNECTION_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_S3_ENDPOINT", "AWS_DEFAULT_REGION")
#: Labels of every pod that runs a stage.
POD_LABELS = {"app.kubernetes.io/managed-by": "kfp-edge", "app.kubernetes.io/component": "stage"}


@dataclass(frozen=True, kw_only=True)
class PodParameters(ParameterGroup):
    """Nodes, certificates and pull secret of the pods of all tasks; without effect on a laptop."""

    ca_bundle: Annotated[
        str,
        "Name of the ConfigMap with all trusted CA certificates under the key `ca-bundle.crt`. It need not exist.",
    ] = "kfp-edge-ca"
    image_pull_secret: Annotated[
        str,
        "Name of the Secret with which the nodes pull the image of the stages, of type "
        "`kubernetes.io/dockerconfigjson`; by default the one that pushes. It need not exist. Kubernetes uses it in "
        "place of those of the service account of runs: where it has no login for that registry and one of these has, "
        "`kfp-edge submit` names that one.",
    ] = "kfp-edge-registry"
    node_selector: Annotated[
        dict,
        'Labels of the nodes that the pods may run on, such as `{"topology.kubernetes.io/zone": "a"}`.',
    ] = field(default_factory=dict)
    tolerations: Annotated[
        list,
        'Tolerations of the pods, as in a Kubernetes pod specification: `[{"key": "gpu", "operator": "Exists"}]`.',
    ] = field(default_factory=list)

    def configure_light(self, *tasks: PipelineTask) -> None:
        """Configure tasks that move files or wait: they get small, fixed limits."""
        for task in tasks:
            self._configure_pod(task)
            task.set_cpu_request("100m").set_cpu_limit("1")
            task.set_memory_request("256Mi").set_memory_limit("1Gi")

    def _configure_pod(self, task: PipelineTask) -> None:
        kubernetes.use_config_map_as_volume(task, self.ca_bundle, f"{MOUNT_ROOT}/{CA_MOUNT}", optional=True)
        kubernetes.set_image_pull_secrets(task, [self.image_pull_secret])
        kubernetes.add_node_selector_json(task, self.node_selector)
        kubernetes.add_toleration_json(task, self.tolerations)
        for key, value in POD_LABELS.items():
            kubernetes.add_pod_label(task, key, value)


@dataclass(frozen=True, kw_only=True)
class ClusterParameters(PodParameters):
    """Resource limits and the data connection of tasks that process data, and the pods of all tasks."""

    cpu: Annotated[
        str,
        "CPU limit of each task that processes the data, a Kubernetes quantity such as `2`; at least `500m`.",
    ] = "2"
    memory: Annotated[
        str,
        "Memory limit of each task that processes the data, a Kubernetes quantity such as `4Gi`; at least `1Gi`.",
    ] = "4Gi"
    data_connection: Annotated[
        str,
        "Name of the Secret with the S3 credentials, an OpenShift AI data connection. It need not exist.",
    ] = "kfp-edge-data"

    def configure_compute(self, *tasks: PipelineTask) -> None:
        """Configure tasks that process the data: they get the limits that the parameters name."""
        for task in tasks:
            self._configure_pod(task)
            task.set_cpu_request(TASK_REQUESTS["cpu"]).set_cpu_limit(self.cpu)
            task.set_memory_request(TASK_REQUESTS["memory"]).set_memory_limit(self.memory)
            # KFP 2.16 loses parameters of limits where the task is in an exit handler or a loop
            task.register_pipeline_channels([self.cpu, self.memory])

    def use_data_connection(self, *tasks: PipelineTask) -> None:
        """Set the keys of the data connection as environment variables of tasks."""
        for task in tasks:
            keys = {key: key for key in DATA_CONNECTION_KEYS}
            kubernetes.use_secret_as_env(task, self.data_connection, keys, optional=True)


@dataclass(frozen=True, kw_only=True)
class DeliverySecrets(ParameterGroup):
    """Secrets of the stages that push images and commits; without effect on a laptop."""

    registry_secret: Annotated[
        str,
        "Name of the Secret with the login of the registry, of type `kubernetes.io/dockerconfigjson`. "
        "It need not exist.",
    ] = "kfp-edge-registry"
    git_secret: Annotated[
        str,
        "Name of the Secret with the login of the GitOps repository, of type `kubernetes.io/basic-auth`, "
        "the access token as its password. It need not exist.",
    ] = "kfp-edge-git"
    forge_secret: Annotated[
        str,
        "Name of the Secret with the access token for pull requests under the key `token`. It need not exist: then the "
        "token of `git_secret` is used.",
    ] = "kfp-edge-forge"

    def use_registry_secret(self, *tasks: PipelineTask) -> None:
        """Mount the login of the registry into tasks."""
        for task in tasks:
            _mount_secret(task, self.registry_secret, REGISTRY_MOUNT)

    def use_git_secret(self, *tasks: PipelineTask) -> None:
        """Mount the login of the GitOps repository into tasks, and the token for its pull requests."""
        for task in tasks:
            _mount_secret(task, self.git_secret, GIT_MOUNT)
            _mount_secret(task, self.forge_secret, FORGE_MOUNT)


@dataclass(frozen=True, kw_only=True)
class MetricsSecret(ParameterGroup):
    """How the metrics of the sites are read; without effect on a laptop."""

    metrics_secret: Annotated[
        str,
        "Name of the Secret for the server with the metrics of the sites: its access token under the key `token`, its "
        "CA certificate under `ca.crt`, its URL under `url`, which only `drift` reads. No key is required, and it need "
        "not exist.",
    ] = "kfp-edge-metrics"

    def use_metrics_secret(self, *tasks: PipelineTask) -> None:
        """Mount the access to the metrics into tasks."""
        for task in tasks:
            _mount_secret(task, self.metrics_secret, METRICS_MOUNT)


def _mount_secret(task: PipelineTask, name: str, mount: str) -> None:
    kubernetes.use_secret_as_volume(task, name, f"{MOUNT_ROOT}/{mount}", optional=True)


def set_retries(*tasks: PipelineTask) -> None:
    """Retry tasks that depend on a network, twice: after half a minute, then after a minute."""
    for task in tasks:
        task.set_retry(num_retries=2, backoff_duration="30s", backoff_factor=2, backoff_max_duration="300s")


def disable_caching(*tasks: PipelineTask) -> None:
    """Run tasks every time, because they have side effects, or read addresses: KFP's cache does not see the content."""
    for task in tasks:
        task.set_caching_options(False)

"""What the tasks of a pipeline ask of a cluster: processors and memory, nodes, secrets, another try.

On a laptop none of it counts.
"""

from dataclasses import dataclass
from typing import Any

from kfp import kubernetes
from kfp.dsl import PipelineTask

from kfp_edge.runtime.mounts import CA, FOLDER, GIT, REGISTRY

#: Keys of an OpenShift AI data connection; stages read the variables of the same names.
_DATA_CONNECTION = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_S3_ENDPOINT", "AWS_DEFAULT_REGION")
_LABELS = {"app.kubernetes.io/managed-by": "kfp-edge", "app.kubernetes.io/component": "stage"}


@dataclass(frozen=True)
class TaskConfig:
    """The parameters of a pipeline that say what its tasks may use there.

    `cpu` and `memory` are the limits of tasks that work on the data. The others name a Secret or a ConfigMap each,
    which may be missing, and where pods may run.
    """

    cpu: Any
    memory: Any
    data_connection: Any
    ca_bundle: Any
    node_selector: Any
    tolerations: Any
    registry_secret: Any = None
    git_secret: Any = None

    def large(self, *tasks: PipelineTask) -> None:
        """Place tasks that work on the data."""
        for task in tasks:
            self._place(task)
            task.set_cpu_request("500m").set_cpu_limit(self.cpu)
            task.set_memory_request("1Gi").set_memory_limit(self.memory)
            # KFP 2.16 forgets parameters of limits where the task stands in a block
            task.register_pipeline_channels([self.cpu, self.memory])

    def small(self, *tasks: PipelineTask) -> None:
        """Place tasks that move files or wait for others."""
        for task in tasks:
            self._place(task)
            task.set_cpu_request("100m").set_cpu_limit("1")
            task.set_memory_request("256Mi").set_memory_limit("1Gi")

    def reads_data(self, *tasks: PipelineTask) -> None:
        """Give tasks the data connection."""
        for task in tasks:
            keys = {key: key for key in _DATA_CONNECTION}
            kubernetes.use_secret_as_env(task, self.data_connection, keys, optional=True)

    def reaches_registry(self, *tasks: PipelineTask) -> None:
        """Give tasks the login of the registry."""
        for task in tasks:
            kubernetes.use_secret_as_volume(task, self.registry_secret, f"{FOLDER}/{REGISTRY}", optional=True)

    def reaches_git(self, *tasks: PipelineTask) -> None:
        """Give tasks the login of the GitOps repository."""
        for task in tasks:
            kubernetes.use_secret_as_volume(task, self.git_secret, f"{FOLDER}/{GIT}", optional=True)

    def _place(self, task: PipelineTask) -> None:
        kubernetes.use_config_map_as_volume(task, self.ca_bundle, f"{FOLDER}/{CA}", optional=True)
        kubernetes.add_node_selector_json(task, self.node_selector)
        kubernetes.add_toleration_json(task, self.tolerations)
        for key, value in _LABELS.items():
            kubernetes.add_pod_label(task, key, value)


def retried(*tasks: PipelineTask) -> None:
    """Let tasks that depend on a network try again: after half a minute, then after a minute."""
    for task in tasks:
        task.set_retry(num_retries=2, backoff_duration="30s", backoff_factor=2, backoff_max_duration="300s")


def uncached(*tasks: PipelineTask) -> None:
    """Run tasks every time: they change the world outside, and a cached answer would be a lie."""
    for task in tasks:
        task.set_caching_options(False)

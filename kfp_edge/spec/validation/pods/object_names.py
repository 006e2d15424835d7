"""The Secrets, ConfigMaps and claims that a task uses, with their names where these are known before a run."""

from dataclasses import dataclass

from kfp.kubernetes.kubernetes_executor_config_pb2 import (
    ConfigMapAsEnv,
    ConfigMapAsVolume,
    ImagePullSecret,
    PvcMount,
    SecretAsEnv,
    SecretAsVolume,
)
from kfp.pipeline_spec.pipeline_spec_pb2 import TaskInputsSpec

from kfp_edge.spec.validation.lint_findings import Finding, join_path
from kfp_edge.spec.validation.pods.task_pod import TASK_FAILS, constant_value, task_finding


@dataclass(frozen=True)
class ObjectReference:
    """An object that a task uses.

    Attributes:
        kind: What it is: Secret, ConfigMap or claim.
        path: The location of the reference.
        name_path: The location of the name in it.
        name: The name; empty if there is none, None if only a run knows it.
    """

    kind: str
    path: str
    name_path: str
    name: str | None

    def missing_name(self) -> Finding:
        """Return the finding about a reference without a name."""
        return task_finding(self.name_path, f"names no {self.kind}, {TASK_FAILS}; name one, or remove the reference.")


def secret_reference(path: str, reference: SecretAsEnv | SecretAsVolume | ImagePullSecret) -> ObjectReference:
    """Return the Secret that a setting names."""
    if reference.HasField("secret_name_parameter"):
        return _from_parameter("Secret", path, "secretNameParameter", reference.secret_name_parameter)
    return ObjectReference("Secret", path, join_path(path, "secretName"), reference.secret_name)


def config_map_reference(path: str, reference: ConfigMapAsEnv | ConfigMapAsVolume) -> ObjectReference:
    """Return the ConfigMap that a setting names."""
    if reference.HasField("config_map_name_parameter"):
        return _from_parameter("ConfigMap", path, "configMapNameParameter", reference.config_map_name_parameter)
    return ObjectReference("ConfigMap", path, join_path(path, "configMapName"), reference.config_map_name)


def claim_reference(path: str, reference: PvcMount) -> ObjectReference:
    """Return the claim that a setting names; the names of older versions of KFP come after the parameter."""
    if reference.HasField("pvc_name_parameter"):
        return _from_parameter("claim", path, "pvcNameParameter", reference.pvc_name_parameter)
    is_from_run = reference.HasField("task_output_parameter") or reference.component_input_parameter
    name = None if is_from_run else reference.constant
    return ObjectReference("claim", path, join_path(path, "constant"), name)


def _from_parameter(kind: str, path: str, key: str, parameter: TaskInputsSpec.InputParameterSpec) -> ObjectReference:
    path_of_parameter = join_path(path, key)
    if parameter.WhichOneof("kind") in ("component_input_parameter", "task_output_parameter"):
        return ObjectReference(kind, path, path_of_parameter, None)
    name = constant_value(parameter)
    return ObjectReference(
        kind, path, join_path(path_of_parameter, "runtimeValue", "constant"), name if isinstance(name, str) else ""
    )

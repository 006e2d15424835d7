"""Claims that a pipeline creates or deletes (`CreatePVC`, `DeletePVC`), and the claim of its workspace."""

from collections.abc import Iterator
from typing import Any

from kfp.kubernetes.kubernetes_executor_config_pb2 import KubernetesExecutorConfig
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineDeploymentConfig, PipelineSpec, PipelineTaskSpec

from kfp_edge.kubernetes.names import (
    LONGEST_VOLUME_NAME,
    describe_bad_annotation_key,
    describe_bad_object_name,
    describe_bad_volume_name,
)
from kfp_edge.spec.backends.profiles import Backend
from kfp_edge.spec.pipeline_file import PipelineDocument
from kfp_edge.spec.validation.document_parts import get_mapping, get_platform_executors
from kfp_edge.spec.validation.lint_findings import Finding, join_path
from kfp_edge.spec.validation.pods.resources import find_quantity_fault
from kfp_edge.spec.validation.pods.task_pod import (
    CREATE_CLAIM,
    DELETE_CLAIM,
    POD_REFUSED,
    TASK_FAILS,
    constant_value,
    is_known,
    quote,
    task_finding,
)
from kfp_edge.spec.validation.pods.volumes import SIZE_REMEDY, check_access_modes
from kfp_edge.spec.validation.protobuf_fields import parse_message

#: The driver puts it before a suffix.
_UNIQUE_PART = "0" * 36
_CLAIM_REFUSED = f"which Kubernetes refuses for a claim, {TASK_FAILS}"


def check_claims(
    pipeline: PipelineDocument, spec: PipelineSpec, config: PipelineDeploymentConfig, backend: Backend
) -> Iterator[Finding]:
    """Find claims that cannot be created, deleted or mounted."""
    root_path = pipeline.spec_path
    graphs = [(join_path(root_path, "root"), spec.root)]
    graphs += [(join_path(root_path, "components", name), spec.components[name]) for name in sorted(spec.components)]
    for path, component in graphs:
        labels = {name: _executor_label(task, spec) for name, task in component.dag.tasks.items()}
        mounted = {claim for label in labels.values() for claim in _mounted_claims(pipeline, label)}
        for name in sorted(component.dag.tasks):
            task = component.dag.tasks[name]
            label = labels[name]
            image = config.executors[label].container.image if label in config.executors else ""
            task_path = join_path(path, "dag", "tasks", name, "inputs", "parameters")
            if image == CREATE_CLAIM:
                yield from _check_create(_constants(task), task_path, backend)
                if name in mounted:
                    yield from _check_volume_name(_constants(task), task_path)
            elif image == DELETE_CLAIM:
                yield from _check_name(_constants(task), "pvc_name", task_path, prefix="")


def _executor_label(task: PipelineTaskSpec, spec: PipelineSpec) -> str:
    reference = task.component_ref.name
    return spec.components[reference].executor_label if reference in spec.components else ""


def _mounted_claims(pipeline: PipelineDocument, label: str) -> Iterator[str]:
    """Yield the tasks whose claims an executor mounts."""
    platform = parse_message(get_platform_executors(pipeline)[1].get(label, {}), KubernetesExecutorConfig)
    for mount in platform.pvc_mount if platform is not None else ():
        yield mount.pvc_name_parameter.task_output_parameter.producer_task or mount.task_output_parameter.producer_task


def _check_volume_name(values: dict[str, Any], path: str) -> Iterator[Finding]:
    """Check the name of a claim as that of the volume in the pod that mounts it."""
    for key, prefix in (("pvc_name", ""), ("pvc_name_suffix", _UNIQUE_PART)):
        name = values.get(key)
        if not isinstance(name, str) or not name or describe_bad_object_name(prefix + name):
            continue
        if describe_bad_volume_name(prefix + name):
            message = (
                f"is {quote(name)}, and a task mounts the claim, whose name no volume can have, {POD_REFUSED}; write "
                f"lower-case letters, digits and -, at most {LONGEST_VOLUME_NAME - len(prefix)} of them."
            )
            yield task_finding(_value_path(path, key), message)


def _constants(task: PipelineTaskSpec) -> dict[str, Any]:
    """Return the inputs that are constants, and known."""
    values = {name: constant_value(parameter) for name, parameter in task.inputs.parameters.items()}
    return {
        name: value
        for name, value in values.items()
        if value is not None and not (isinstance(value, str) and not is_known(value))
    }


def _value_path(path: str, name: str) -> str:
    return join_path(path, name, "runtimeValue", "constant")


def _check_create(values: dict[str, Any], path: str, backend: Backend) -> Iterator[Finding]:
    modes = values.get("access_modes")
    if isinstance(modes, list) and all(isinstance(mode, str) for mode in modes):
        yield from check_access_modes(modes, _value_path(path, "access_modes"), TASK_FAILS)
    size = values.get("size")
    if isinstance(size, str) and (fault := find_quantity_fault(size, above_zero=True)):
        yield task_finding(_value_path(path, "size"), f"{fault}, {TASK_FAILS}; {SIZE_REMEDY}.")
    if values.get("pvc_name") and values.get("pvc_name_suffix"):
        message = f"is set together with pvc_name, {TASK_FAILS}; remove one of them."
        yield task_finding(_value_path(path, "pvc_name_suffix"), message)
    yield from _check_name(values, "pvc_name", path, prefix="")
    yield from _check_name(values, "pvc_name_suffix", path, prefix=_UNIQUE_PART)
    yield from _check_name(values, "storage_class_name", path, prefix="")
    yield from _check_annotations(values.get("annotations"), _value_path(path, "annotations"), backend)


def _check_name(values: dict[str, Any], key: str, path: str, *, prefix: str) -> Iterator[Finding]:
    name = values.get(key)
    if isinstance(name, str) and name and (remedy := describe_bad_object_name(prefix + name)):
        yield task_finding(_value_path(path, key), f"is {quote(name)}, {_CLAIM_REFUSED}; {remedy}.")


def _check_annotations(annotations: object, path: str, backend: Backend) -> Iterator[Finding]:
    if not isinstance(annotations, dict) or not annotations:
        return
    if backend.fails_on_claim_annotations:
        message = (
            f"has an annotation, at which the driver of {backend.title} ends with an error, {TASK_FAILS}; remove it."
        )
        yield task_finding(path, message)
    for key in sorted(annotations):
        if remedy := describe_bad_annotation_key(key):
            message = f"has the key {quote(key)}, which no annotation can have, {TASK_FAILS}; {remedy}."
            yield task_finding(join_path(path, key), message)


def check_workspace(pipeline: PipelineDocument) -> Iterator[Finding]:
    """Find a size of the workspace with which a server refuses to start a run."""
    kubernetes = get_mapping(get_mapping(pipeline.platform, "platforms"), "kubernetes")
    workspace = get_mapping(get_mapping(kubernetes, "pipelineConfig", "pipeline_config"), "workspace")
    if "kubernetes" not in workspace:
        return
    size = workspace.get("size") or ""
    if isinstance(size, str) and (fault := find_quantity_fault(size)):
        path = join_path(pipeline.platform_path, "platforms", "kubernetes", "pipelineConfig", "workspace", "size")
        yield task_finding(path, f"{fault}, and the server refuses to start a run; {SIZE_REMEDY}.")

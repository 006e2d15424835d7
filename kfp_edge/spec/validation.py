"""Checks, without a cluster, whether a backend accepts a compiled pipeline: any KFP v2 YAML, ours or not.

The fields are those of `kfp-pipeline-spec` and `kfp-kubernetes` 2.16 (`PipelineSpec`, `PlatformSpec`,
`KubernetesExecutorConfig`); what a backend requires beyond them is in its `NewV2SpecTemplate`. `kfp_edge.rules` reports
what a backend accepts and is still unwise.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kfp.kubernetes.kubernetes_executor_config_pb2 import KubernetesExecutorConfig
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineDeploymentConfig, PipelineSpec, PlatformSpec

from kfp_edge.errors import PipelineError
from kfp_edge.spec.lint_findings import Finding, join_path
from kfp_edge.spec.pipeline_file import TOO_DEEP, PipelineDocument, PipelineFile, read_pipeline_file
from kfp_edge.spec.protobuf_fields import check_fields, parse_message
from kfp_edge.spec.task_graph import check_task_graph

_SCHEMA_VERSION = "2.1.0"


@dataclass(frozen=True)
class PipelineInfo:
    """A pipeline's name, the number of tasks in all its graphs, and its images (sorted, unique)."""

    name: str
    tasks: int
    images: tuple[str, ...]


@dataclass(frozen=True)
class ValidationReport:
    """The findings in one file, and the pipelines that it holds."""

    findings: tuple[Finding, ...]
    pipelines: tuple[PipelineInfo, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether a backend of KFP 2.16 is expected to accept the file."""
        return not self.findings


def validate_file(path: Path) -> ValidationReport:
    """Check one file; one that cannot be read or is not YAML gives a report with one finding."""
    try:
        return validate_text(path.read_bytes())
    except OSError as error:
        return unreadable_report(f"cannot read the file: {error.strerror}.")


def validate_text(text: str | bytes) -> ValidationReport:
    """Check the text of a compiled pipeline (YAML or JSON; one or two documents, or Kubernetes manifests)."""
    try:
        return validate(read_pipeline_file(text))
    except PipelineError as error:
        return unreadable_report(str(error))


def validate(file: PipelineFile) -> ValidationReport:
    """Check a file that has been parsed."""
    findings: list[Finding] = []
    infos: list[PipelineInfo] = []
    try:
        for pipeline in file.pipelines:
            findings += _check_pipeline(pipeline)
            if (info := _pipeline_info(pipeline)) is not None:
                infos.append(info)
    except RecursionError:
        return unreadable_report(TOO_DEEP)
    return ValidationReport(tuple(findings), tuple(infos))


def unreadable_report(message: str) -> ValidationReport:
    """Return the report on a file that holds no pipeline: one finding about the whole file."""
    return ValidationReport((Finding("KE100", "", message),))


def get_deployment_spec(parent: object) -> dict[str, Any]:
    """Return the deployment spec in a pipeline or platform spec; protobuf keeps it as an uninterpreted `Struct`."""
    return _get_mapping(parent, "deploymentSpec", "deployment_spec")


def get_platform_executors(pipeline: PipelineDocument) -> tuple[str, dict[str, Any]]:
    """Return the path of the executors in the platform spec, and their Kubernetes configuration by label."""
    path = join_path(pipeline.platform_path, "platforms", "kubernetes", "deploymentSpec", "executors")
    kubernetes = _get_mapping(_get_mapping(pipeline.platform, "platforms"), "kubernetes")
    return path, _get_mapping(get_deployment_spec(kubernetes), "executors")


def _get_mapping(parent: object, *names: str) -> dict[str, Any]:
    """Return the mapping that `parent` holds under the first of `names` that it has; an empty one if none."""
    for name in names:
        member = parent.get(name) if isinstance(parent, dict) else None
        if isinstance(member, dict):
            return member
    return {}


def _check_pipeline(pipeline: PipelineDocument) -> Iterator[Finding]:
    yield from check_fields(pipeline.spec, PipelineSpec, pipeline.spec_path)
    spec = parse_message(pipeline.spec, PipelineSpec)
    deployment_spec = get_deployment_spec(pipeline.spec)
    labels = frozenset(_get_mapping(deployment_spec, "executors"))
    if spec is not None:
        yield from _check_requirements(spec, pipeline.spec_path)
    if deployment_spec:
        yield from _check_executors(deployment_spec, join_path(pipeline.spec_path, "deploymentSpec"))
    if spec is not None:
        yield from check_task_graph(spec, labels, pipeline.spec_path)
    if pipeline.platform is not None:
        yield from _check_platform(pipeline, labels)


def _requirement_finding(path: str, message: str) -> Finding:
    return Finding("KE103", path, message)


def _check_requirements(spec: PipelineSpec, path: str) -> Iterator[Finding]:
    """Yield what a backend refuses although the message parses."""
    if spec.schema_version != _SCHEMA_VERSION:
        yield _requirement_finding(
            join_path(path, "schemaVersion"),
            f"must be {_SCHEMA_VERSION}, the one a backend accepts; it is {spec.schema_version or 'empty'}.",
        )
    name = spec.pipeline_info.name
    if not any(character.isascii() and (character.islower() or character.isdigit()) for character in name):
        yield _requirement_finding(
            join_path(path, "pipelineInfo", "name"), "must contain a lower-case letter or a digit."
        )
    if not spec.HasField("root"):
        yield _requirement_finding(join_path(path, "root"), "is missing; a pipeline needs a root component.")


def _check_executors(deployment_spec: dict[str, Any], path: str) -> Iterator[Finding]:
    yield from check_fields(deployment_spec, PipelineDeploymentConfig, path)
    config = parse_message(deployment_spec, PipelineDeploymentConfig)
    if config is None:
        return
    for label, executor in sorted(config.executors.items()):
        kind = executor.WhichOneof("spec")
        executor_path = join_path(path, "executors", label)
        if kind is None:
            yield _requirement_finding(executor_path, "has nothing to run: no container and no importer.")
        elif kind == "container" and not executor.container.image:
            yield _requirement_finding(join_path(executor_path, "container", "image"), "is missing.")


def _check_platform(pipeline: PipelineDocument, labels: frozenset[str]) -> Iterator[Finding]:
    yield from check_fields(pipeline.platform, PlatformSpec, pipeline.platform_path)
    path, executors = get_platform_executors(pipeline)
    for label, config in executors.items():
        yield from check_fields(config, KubernetesExecutorConfig, join_path(path, label))
        if label not in labels:
            yield Finding(
                "KE102", join_path(path, label), "configures an executor that the pipeline spec does not have."
            )


def _pipeline_info(pipeline: PipelineDocument) -> PipelineInfo | None:
    spec = parse_message(pipeline.spec, PipelineSpec)
    if spec is None:
        return None
    executors = _get_mapping(get_deployment_spec(pipeline.spec), "executors")
    containers = (_get_mapping(executor, "container") for executor in executors.values())
    images = {image for container in containers if isinstance(image := container.get("image"), str) and image}
    tasks = sum(len(component.dag.tasks) for component in (spec.root, *spec.components.values()))
    return PipelineInfo(spec.pipeline_info.name, tasks, tuple(sorted(images)))

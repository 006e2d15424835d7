"""Checks, without a cluster, whether a backend accepts a compiled pipeline: any KFP v2 YAML, ours or not.

The fields are those of the backend's own messages (`backend_schema`); what it requires beyond them is in its
`NewV2SpecTemplate` and in its compiler for Argo Workflows. `kfp_edge.rules` reports what a backend accepts and is still
unwise.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineDeploymentConfig, PipelineSpec

from kfp_edge.errors import PipelineError
from kfp_edge.spec.backends.profiles import DEFAULT_BACKEND, Backend
from kfp_edge.spec.backends.schema import BackendSchema, load_schema
from kfp_edge.spec.pipeline_file import TOO_DEEP, PipelineDocument, PipelineFile, read_pipeline_file
from kfp_edge.spec.pipeline_names import describe_bad_name
from kfp_edge.spec.validation.document_parts import get_deployment_spec, get_mapping, get_platform_executors
from kfp_edge.spec.validation.lint_findings import Finding, join_path
from kfp_edge.spec.validation.manifests import check_manifests
from kfp_edge.spec.validation.pods.check_pods import check_pods
from kfp_edge.spec.validation.pods.parameter_resources import check_parameter_resources
from kfp_edge.spec.validation.protobuf_fields import Consequences, check_fields, parse_message
from kfp_edge.spec.validation.task_graph import check_task_graph
from kfp_edge.spec.validation.value_types import check_value_types
from kfp_edge.spec.workflow.problems import find_problems

_SCHEMA_VERSION = "2.1.0"

_REFUSED_UPLOAD = "The server refuses the upload."
_REFUSED_RUN = "The server refuses to start a run."
_PLATFORM_DROPPED = (
    "The server drops the whole platform spec in silence, and runs go without its Secrets, volumes and node selectors."
)


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
        """Whether the backend is expected to accept the file, and to do all that it says."""
        return not self.findings


def validate_file(path: Path, backend: Backend = DEFAULT_BACKEND) -> ValidationReport:
    """Check one file; one that cannot be read or is not YAML gives a report with one finding."""
    try:
        return validate_text(path.read_bytes(), backend)
    except OSError as error:
        return unreadable_report(f"cannot read the file: {error.strerror}.")


def validate_text(text: str | bytes, backend: Backend = DEFAULT_BACKEND) -> ValidationReport:
    """Check the text of a compiled pipeline (YAML or JSON; one or two documents, or Kubernetes manifests)."""
    try:
        return validate(read_pipeline_file(text), backend)
    except PipelineError as error:
        return unreadable_report(str(error))


def validate(file: PipelineFile, backend: Backend = DEFAULT_BACKEND) -> ValidationReport:
    """Check a file that has been parsed."""
    findings = list(check_manifests(file.documents))
    infos: list[PipelineInfo] = []
    try:
        for pipeline in file.pipelines:
            findings += _PipelineChecker(pipeline, backend).findings()
            if (info := _pipeline_info(pipeline)) is not None:
                infos.append(info)
    except RecursionError:
        return unreadable_report(TOO_DEEP)
    return ValidationReport(tuple(findings), tuple(infos))


def check_accepted(text: str | bytes, description: str, backend: Backend = DEFAULT_BACKEND) -> None:
    """Check that a backend accepts a compiled pipeline.

    Raises:
        PipelineError: it does not, with the first finding.
    """
    report = validate_text(text, backend)
    if not report.ok:
        finding = report.findings[0]
        where = f"{finding.path} " if finding.path else ""
        raise PipelineError(f"{backend.title} would not take {description}: {where}{finding.message}")


def unreadable_report(message: str) -> ValidationReport:
    """Return the report on a file that holds no pipeline: one finding about the whole file."""
    return ValidationReport((Finding("KE100", "", message),))


class _PipelineChecker:
    """Checks one pipeline as one backend reads it."""

    def __init__(self, pipeline: PipelineDocument, backend: Backend) -> None:
        self.pipeline = pipeline
        self.backend = backend
        self.schema: BackendSchema = load_schema(backend)

    def findings(self) -> list[Finding]:
        """Return what a server refuses or ignores; if it is nothing, what a run fails for; then what is too large."""
        return list(self._check_documents()) or list(self._check_tasks()) or list(find_problems(self.pipeline))

    def _check_tasks(self) -> Iterator[Finding]:
        spec = parse_message(self.pipeline.spec, PipelineSpec)
        config = parse_message(get_deployment_spec(self.pipeline.spec), PipelineDeploymentConfig)
        if spec is not None and config is not None:
            yield from check_value_types(spec, self.pipeline.spec_path)
            yield from check_pods(self.pipeline, spec, config, self.backend)
            yield from check_parameter_resources(self.pipeline)

    def _check_documents(self) -> Iterator[Finding]:
        pipeline = self.pipeline
        upload = Consequences(_REFUSED_UPLOAD, _REFUSED_UPLOAD)
        yield from check_fields(pipeline.spec, self.schema.pipeline_spec, pipeline.spec_path, upload)
        spec = parse_message(pipeline.spec, PipelineSpec)
        deployment_spec = get_deployment_spec(pipeline.spec)
        labels = frozenset(get_mapping(deployment_spec, "executors"))
        if spec is not None:
            yield from _check_requirements(spec, pipeline.spec_path)
        if deployment_spec:
            yield from self._check_executors(deployment_spec, join_path(pipeline.spec_path, "deploymentSpec"))
        if spec is not None:
            yield from check_task_graph(spec, labels, pipeline.spec_path)
        if pipeline.platform is not None:
            yield from self._check_platform(labels)

    def _check_executors(self, deployment_spec: dict[str, Any], path: str) -> Iterator[Finding]:
        unknown = "The server ignores it in silence." if self.backend.ignores_executor_fields else _REFUSED_RUN
        consequences = Consequences(unknown, _REFUSED_RUN)
        yield from check_fields(deployment_spec, self.schema.deployment_config, path, consequences)
        config = parse_message(deployment_spec, PipelineDeploymentConfig)
        if config is None:
            return
        for label, executor in sorted(config.executors.items()):
            kind = executor.WhichOneof("spec")
            executor_path = join_path(path, "executors", label)
            if kind is None:
                yield _requirement_finding(executor_path, "has nothing to run: no container and no importer.")
            elif kind == "container" and not executor.container.image:
                yield _requirement_finding(
                    join_path(executor_path, "container", "image"), "is missing, and no pod can be made; name an image."
                )

    def _check_platform(self, labels: frozenset[str]) -> Iterator[Finding]:
        pipeline = self.pipeline
        dropped = Consequences(_PLATFORM_DROPPED, _PLATFORM_DROPPED)
        yield from check_fields(pipeline.platform, self.schema.platform_spec, pipeline.platform_path, dropped)
        refused = _REFUSED_RUN if self.backend.checks_platform_early else "The run fails when the task starts."
        path, executors = get_platform_executors(pipeline)
        for label, config in executors.items():
            consequences = Consequences(refused, refused)
            yield from check_fields(config, self.schema.executor_config, join_path(path, label), consequences)
            if label not in labels:
                yield Finding(
                    "KE102",
                    join_path(path, label),
                    "configures an executor that the pipeline spec does not have, so that the server ignores it; "
                    "correct the name, or remove it.",
                )


def _requirement_finding(path: str, message: str) -> Finding:
    return Finding("KE103", path, message)


def _check_requirements(spec: PipelineSpec, path: str) -> Iterator[Finding]:
    """Yield what a backend refuses although the message parses."""
    if spec.schema_version != _SCHEMA_VERSION:
        yield _requirement_finding(
            join_path(path, "schemaVersion"),
            f"must be {_SCHEMA_VERSION}, the one a backend accepts; it is {spec.schema_version or 'empty'}.",
        )
    if problem := describe_bad_name(spec.pipeline_info.name):
        yield _requirement_finding(join_path(path, "pipelineInfo", "name"), problem)
    if not spec.HasField("root"):
        yield _requirement_finding(join_path(path, "root"), "is missing; a pipeline needs a root component.")


def _pipeline_info(pipeline: PipelineDocument) -> PipelineInfo | None:
    spec = parse_message(pipeline.spec, PipelineSpec)
    if spec is None:
        return None
    executors = get_mapping(get_deployment_spec(pipeline.spec), "executors")
    containers = (get_mapping(executor, "container") for executor in executors.values())
    images = {image for container in containers if isinstance(image := container.get("image"), str) and image}
    tasks = sum(len(component.dag.tasks) for component in (spec.root, *spec.components.values()))
    return PipelineInfo(spec.pipeline_info.name, tasks, tuple(sorted(images)))

"""Checking without a cluster whether a backend takes a compiled pipeline: any KFP v2 YAML, ours or not.

The fields are those of `kfp-pipeline-spec` and `kfp-kubernetes` 2.16 (`PipelineSpec`, `PlatformSpec`,
`KubernetesExecutorConfig`); what a backend demands beyond them is in its `NewV2SpecTemplate`. What a backend takes and
is still unwise, `kfp_edge.rules` tells.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kfp_edge.errors import KfpEdgeError
from kfp_edge.spec.documents import TOO_DEEP, PipelineDocument, PipelineFile, read
from kfp_edge.spec.fields import Finding, at, field_findings, parse
from kfp_edge.spec.graph import graph_findings

_SCHEMA_VERSION = "2.1.0"

__all__ = [
    "Finding",
    "PipelineInfo",
    "ValidationReport",
    "deployment",
    "platform_executors",
    "refused",
    "validate",
    "validate_file",
    "validate_text",
]


@dataclass(frozen=True)
class PipelineInfo:
    """What a pipeline spec says of itself: its name, the tasks of all its graphs, its images (sorted, unique)."""

    name: str
    tasks: int
    images: tuple[str, ...]


@dataclass(frozen=True)
class ValidationReport:
    """The result for one file: it is in order when there are no findings."""

    findings: tuple[Finding, ...]
    pipelines: tuple[PipelineInfo, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether a backend of KFP 2.16 is expected to take the file."""
        return not self.findings


def validate_file(path: Path) -> ValidationReport:
    """Check one file; one that cannot be read or is not YAML gives a report with one finding."""
    try:
        return validate_text(path.read_bytes())
    except OSError as error:
        return refused(f"cannot read the file: {error.strerror}.")


def validate_text(text: str | bytes) -> ValidationReport:
    """Check the text of a compiled pipeline (YAML or JSON; one or two documents, or Kubernetes manifests)."""
    try:
        return validate(read(text))
    except KfpEdgeError as error:
        return refused(str(error))


def validate(file: PipelineFile) -> ValidationReport:
    """Check a file that was read."""
    findings: list[Finding] = []
    pipelines: list[PipelineInfo] = []
    try:
        for source in file.sources:
            findings += _check(source)
            pipelines += _described(source)
    except RecursionError:
        return refused(TOO_DEEP)
    return ValidationReport(tuple(findings), tuple(pipelines))


def refused(sentence: str) -> ValidationReport:
    """Return the report on a file that holds no pipeline: one finding that stands nowhere in it."""
    return ValidationReport((Finding("KE100", "", sentence),))


def _demanded(path: str, message: str) -> Finding:
    return Finding("KE103", path, message)


def _check(source: PipelineDocument) -> Iterator[Finding]:
    yield from field_findings(source.spec, "PipelineSpec", source.spec_path)
    spec = parse(source.spec, "PipelineSpec")
    config = deployment(source.spec)
    labels = frozenset(_member(config, "executors"))
    if spec is not None:
        yield from _demands(spec, source.spec_path)
    if config:
        yield from _executor_findings(config, at(source.spec_path, "deploymentSpec"))
    if spec is not None:
        yield from graph_findings(spec, labels, source.spec_path)
    if source.platform is not None:
        yield from _platform_findings(source, labels)


def deployment(holder: Any) -> dict[str, Any]:
    """Return the deployment spec in a pipeline or platform spec, which protobuf takes as a `Struct` unread."""
    return _member(holder, "deploymentSpec", "deployment_spec")


def platform_executors(source: PipelineDocument) -> tuple[str, dict[str, Any]]:
    """Return what the platform spec says of executors, by label, and the path where it stands."""
    place = at(source.platform_path, "platforms", "kubernetes", "deploymentSpec", "executors")
    kubernetes = _member(_member(source.platform, "platforms"), "kubernetes")
    return place, _member(deployment(kubernetes), "executors")


def _member(value: Any, *names: str) -> dict[str, Any]:
    """Return the mapping that `value` holds under the first of `names` it has; an empty one if none."""
    for name in names:
        member = value.get(name) if isinstance(value, dict) else None
        if isinstance(member, dict):
            return member
    return {}


def _demands(spec: Any, path: str) -> Iterator[Finding]:
    """Yield what a backend refuses although the message parses."""
    if spec.schema_version != _SCHEMA_VERSION:
        found = spec.schema_version or "nothing"
        yield _demanded(
            at(path, "schemaVersion"), f"must be {_SCHEMA_VERSION}, the one a backend takes; found {found}."
        )
    name = spec.pipeline_info.name
    if not any(character.isascii() and (character.islower() or character.isdigit()) for character in name):
        yield _demanded(at(path, "pipelineInfo", "name"), "must hold a lower-case letter or a digit.")
    if not spec.HasField("root"):
        yield _demanded(at(path, "root"), "is missing; a pipeline needs a root component.")


def _executor_findings(deployment_spec: dict[str, Any], path: str) -> Iterator[Finding]:
    yield from field_findings(deployment_spec, "PipelineDeploymentConfig", path)
    config = parse(deployment_spec, "PipelineDeploymentConfig")
    if config is None:
        return
    for label, executor in sorted(config.executors.items()):
        kind = executor.WhichOneof("spec")
        if kind is None:
            yield _demanded(at(path, "executors", label), "says nothing to run: no container and no importer.")
        elif kind == "container" and not executor.container.image:
            yield _demanded(at(path, "executors", label, "container", "image"), "is missing.")


def _platform_findings(source: PipelineDocument, labels: frozenset[str]) -> Iterator[Finding]:
    yield from field_findings(source.platform, "PlatformSpec", source.platform_path)
    place, executors = platform_executors(source)
    for label, config in executors.items():
        yield from field_findings(config, "KubernetesExecutorConfig", at(place, label))
        if label not in labels:
            yield Finding("KE102", at(place, label), "configures an executor that the pipeline spec does not have.")


def _described(source: PipelineDocument) -> list[PipelineInfo]:
    spec = parse(source.spec, "PipelineSpec")
    if spec is None:
        return []
    executors = _member(deployment(source.spec), "executors")
    containers = (_member(executor, "container") for executor in executors.values())
    images = {image for container in containers if isinstance(image := container.get("image"), str) and image}
    tasks = sum(len(component.dag.tasks) for component in (spec.root, *spec.components.values()))
    return [PipelineInfo(spec.pipeline_info.name, tasks, tuple(sorted(images)))]

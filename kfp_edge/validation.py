"""Checking a compiled pipeline without a cluster: any KFP v2 YAML, ours or not.

The fields are those of `kfp-pipeline-spec` and `kfp-kubernetes` 2.16 (`PipelineSpec`, `PlatformSpec`,
`KubernetesExecutorConfig`); what a backend demands beyond them is in its `NewV2SpecTemplate`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kfp_edge.errors import KfpEdgeError
from kfp_edge.pipeline_fields import Finding, at, field_findings, parse
from kfp_edge.pipeline_graph import graph_findings

_SCHEMA_VERSION = "2.1.0"
_KUBERNETES_NATIVE = "pipelines.kubeflow.org/"
_SPEC_KEYS = frozenset({"pipelineInfo", "deploymentSpec", "schemaVersion", "components", "root"})

__all__ = ["Finding", "Pipeline", "Report", "validate_file", "validate_text"]


@dataclass(frozen=True)
class Pipeline:
    """What a pipeline spec says of itself: its name, the tasks of all its graphs, its images (sorted, unique)."""

    name: str
    tasks: int
    images: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """The result for one file: it is in order when there are no findings."""

    findings: tuple[Finding, ...]
    pipelines: tuple[Pipeline, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether a backend of KFP 2.16 is expected to take the file."""
        return not self.findings


@dataclass(frozen=True)
class _Source:
    """One pipeline as a file holds it: a pipeline spec, its platform spec if any, and where each stands."""

    spec: Any
    spec_path: str
    platform: Any = None
    platform_path: str = ""


def validate_file(path: Path) -> Report:
    """Check one file; one that cannot be read or is not YAML gives a report with one finding."""
    try:
        return validate_text(path.read_bytes())
    except OSError as error:
        return _refused(f"cannot read the file: {error.strerror}.")


def validate_text(text: str | bytes) -> Report:
    """Check the text of a compiled pipeline (YAML or JSON; one or two documents, or Kubernetes manifests)."""
    try:
        sources = _sources(_documents(text))
        findings: list[Finding] = []
        pipelines: list[Pipeline] = []
        for source in sources:
            findings += _check(source)
            pipelines += _described(source)
    except KfpEdgeError as error:
        return _refused(str(error))
    except RecursionError:
        return _refused("it is nested too deeply, or a YAML alias in it refers to itself.")
    return Report(tuple(findings), tuple(pipelines))


def _refused(sentence: str) -> Report:
    return Report((Finding("", sentence),))


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, but a key given twice is an error and not a silent choice of the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        problem=f"the key {key.value!r} is given twice", problem_mark=key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _documents(text: str | bytes) -> list[dict[str, Any]]:
    try:
        # _Loader is a SafeLoader: it builds plain values only
        documents = [document for document in yaml.load_all(text, Loader=_Loader) if document is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise KfpEdgeError(f"not valid YAML: {where}{error.problem or error.context}.") from error
    except (yaml.YAMLError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise KfpEdgeError(f"not valid YAML: {reason}.") from error
    if not documents:
        raise KfpEdgeError("the file holds no document; compile the pipeline again.")
    for number, document in enumerate(documents, start=1):
        if not isinstance(document, dict):
            raise KfpEdgeError(f"document {number} is not a mapping, so this is not a KFP v2 pipeline.")
    return documents


def _sources(documents: list[dict[str, Any]]) -> list[_Source]:
    """Pair every pipeline spec with its platform spec, as the backend does.

    Raises:
        KfpEdgeError: the documents are not a KFP v2 pipeline.
    """
    if all(_is_native(document) for document in documents):
        return _native_sources(documents)
    specs = [document for document in documents if _is_spec(document)]
    platforms = [document for document in documents if "platforms" in document and not _is_spec(document)]
    for number, document in enumerate(documents, start=1):
        if not any(document is known for known in (*specs, *platforms)):
            raise KfpEdgeError(_not_v2(document, number))
    if not specs:
        raise KfpEdgeError("there is a platform spec but no pipeline spec; a backend needs both in one file.")
    if len(specs) > 1 or len(platforms) > 1:
        kind = "pipeline" if len(specs) > 1 else "platform"
        raise KfpEdgeError(f"there is more than one {kind} spec; a backend takes one pipeline a file.")
    return [_Source(specs[0], "", platforms[0] if platforms else None)]


def _is_spec(document: Mapping[str, Any]) -> bool:
    return "kind" not in document and not _SPEC_KEYS.isdisjoint(document)


def _is_native(document: Mapping[str, Any]) -> bool:
    return str(document.get("apiVersion", "")).startswith(_KUBERNETES_NATIVE)


def _native_sources(documents: list[dict[str, Any]]) -> list[_Source]:
    """Find the pipeline specs in `Pipeline` and `PipelineVersion` manifests."""
    sources = []
    for number, document in enumerate(documents, start=1):
        prefix = f"documents[{number}].spec" if len(documents) > 1 else "spec"
        spec = document.get("spec")
        match document.get("kind"):
            case "Pipeline":
                continue
            case "PipelineVersion" if isinstance(spec, dict) and "pipelineSpec" in spec:
                sources.append(
                    _Source(
                        spec["pipelineSpec"],
                        at(prefix, "pipelineSpec"),
                        spec.get("platformSpec"),
                        at(prefix, "platformSpec"),
                    )
                )
            case "PipelineVersion":
                raise KfpEdgeError(f"the PipelineVersion in document {number} has no spec.pipelineSpec.")
            case kind:
                raise KfpEdgeError(f"document {number} is a {kind}; only Pipeline and PipelineVersion can be checked.")
    if not sources:
        raise KfpEdgeError("there is a Pipeline manifest but no PipelineVersion, which holds the pipeline spec.")
    return sources


def _not_v2(document: Mapping[str, Any], number: int) -> str:
    kind = document.get("kind")
    version = str(document.get("apiVersion", ""))
    if version.startswith(("argoproj.io/", "tekton.dev/")):
        return f"this is a {version} {kind}, which KFP v1 compiled to, not KFP v2; compile it with the KFP SDK 2."
    if "implementation" in document:
        return "this is a KFP v1 component, not a KFP v2 pipeline; compile a pipeline that uses it with the KFP SDK 2."
    if kind is not None:
        return f"document {number} is a Kubernetes {kind}, not a KFP v2 pipeline."
    return f"document {number} is neither a KFP v2 pipeline spec nor a platform spec."


def _check(source: _Source) -> Iterator[Finding]:
    yield from field_findings(source.spec, "PipelineSpec", source.spec_path)
    spec = parse(source.spec, "PipelineSpec")
    deployment = _deployment(source.spec)
    labels = frozenset(_member(deployment, "executors"))
    if spec is not None:
        yield from _demands(spec, source.spec_path)
    if deployment:
        yield from _executor_findings(deployment, at(source.spec_path, "deploymentSpec"))
    if spec is not None:
        yield from graph_findings(spec, labels, source.spec_path)
    if source.platform is not None:
        yield from _platform_findings(source, labels)


def _deployment(holder: Any) -> dict[str, Any]:
    """Return the deployment spec, which protobuf takes as a `Struct` unread."""
    return _member(holder, "deploymentSpec", "deployment_spec")


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
        yield Finding(at(path, "schemaVersion"), f"must be {_SCHEMA_VERSION}, the one a backend takes; found {found}.")
    name = spec.pipeline_info.name
    if not any(character.isascii() and (character.islower() or character.isdigit()) for character in name):
        yield Finding(at(path, "pipelineInfo", "name"), "must hold a lower-case letter or a digit.")
    if not spec.HasField("root"):
        yield Finding(at(path, "root"), "is missing; a pipeline needs a root component.")


def _executor_findings(deployment: dict[str, Any], path: str) -> Iterator[Finding]:
    yield from field_findings(deployment, "PipelineDeploymentConfig", path)
    config = parse(deployment, "PipelineDeploymentConfig")
    if config is None:
        return
    for label, executor in sorted(config.executors.items()):
        kind = executor.WhichOneof("spec")
        if kind is None:
            yield Finding(at(path, "executors", label), "says nothing to run: no container and no importer.")
        elif kind == "container" and not executor.container.image:
            yield Finding(at(path, "executors", label, "container", "image"), "is missing.")


def _platform_findings(source: _Source, labels: frozenset[str]) -> Iterator[Finding]:
    yield from field_findings(source.platform, "PlatformSpec", source.platform_path)
    place = at(source.platform_path, "platforms", "kubernetes", "deploymentSpec", "executors")
    kubernetes = _member(_member(source.platform, "platforms"), "kubernetes")
    for label, config in _member(_deployment(kubernetes), "executors").items():
        yield from field_findings(config, "KubernetesExecutorConfig", at(place, label))
        if label not in labels:
            yield Finding(at(place, label), "configures an executor that the pipeline spec does not have.")


def _described(source: _Source) -> list[Pipeline]:
    spec = parse(source.spec, "PipelineSpec")
    if spec is None:
        return []
    executors = _member(_deployment(source.spec), "executors")
    containers = (_member(executor, "container") for executor in executors.values())
    images = {image for container in containers if isinstance(image := container.get("image"), str) and image}
    tasks = sum(len(component.dag.tasks) for component in (spec.root, *spec.components.values()))
    return [Pipeline(spec.pipeline_info.name, tasks, tuple(sorted(images)))]

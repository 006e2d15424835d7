"""Reading a file that holds compiled pipelines: YAML or JSON, one or two documents, or Kubernetes manifests."""

import codecs
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from kfp_edge.errors import KfpEdgeError
from kfp_edge.spec.fields import at

_KUBERNETES_NATIVE = "pipelines.kubeflow.org/"
_SPEC_KEYS = frozenset({"pipelineInfo", "deploymentSpec", "schemaVersion", "components", "root"})

#: Said of a file on which reading or checking recurses without end.
TOO_DEEP = "it is nested too deeply, or a YAML alias in it refers to itself."


@dataclass(frozen=True)
class YamlDocument:
    """One YAML document: its value, the node it was made from, and what paths in it begin with."""

    value: dict[str, Any]
    node: yaml.Node
    path: str = ""


@dataclass(frozen=True)
class PipelineDocument:
    """One pipeline as a file holds it: a pipeline spec, its platform spec if any, and where each stands."""

    spec: Any
    spec_path: str
    platform: Any = None
    platform_path: str = ""


@dataclass(frozen=True)
class PipelineFile:
    """The text of a file, its documents and the pipelines in them."""

    text: str
    documents: tuple[YamlDocument, ...]
    sources: tuple[PipelineDocument, ...]


def read(text: str | bytes) -> PipelineFile:
    """Read the text of a file of compiled pipelines.

    Raises:
        KfpEdgeError: it is not YAML, or not a KFP v2 pipeline.
    """
    try:
        decoded = _decoded(text)
        documents = list(_documents(decoded))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise KfpEdgeError(f"not valid YAML: {where}{error.problem or error.context}.") from error
    except (yaml.YAMLError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise KfpEdgeError(f"not valid YAML: {reason}.") from error
    except RecursionError as error:
        raise KfpEdgeError(TOO_DEEP) from error
    if not documents:
        raise KfpEdgeError("the file holds no document; compile the pipeline again.")
    for number, document in enumerate(documents, start=1):
        if not isinstance(document.value, dict):
            raise KfpEdgeError(f"document {number} is not a mapping, so this is not a KFP v2 pipeline.")
    return _file(decoded, documents)


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


def _decoded(text: str | bytes) -> str:
    """Return the text; YAML may be UTF-16 when it says so with its first bytes."""
    if isinstance(text, str):
        return text.removeprefix("\ufeff")
    utf_16 = text.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return text.decode("utf-16" if utf_16 else "utf-8-sig")


def _documents(text: str) -> Iterator[YamlDocument]:
    builder = _Loader("")  # a SafeLoader: it builds plain values only
    for node in yaml.compose_all(text, Loader=_Loader):
        value = builder.construct_document(node)
        if value is not None:
            yield YamlDocument(value, node)


def _file(text: str, documents: list[YamlDocument]) -> PipelineFile:
    """Pair every pipeline spec with its platform spec, as the backend does.

    Raises:
        KfpEdgeError: the documents are not a KFP v2 pipeline.
    """
    values = [document.value for document in documents]
    if all(_is_native(value) for value in values):
        if len(documents) > 1:
            numbered = enumerate(documents, start=1)
            documents = [YamlDocument(each.value, each.node, f"documents[{number}]") for number, each in numbered]
        return PipelineFile(text, tuple(documents), tuple(_native_sources(documents)))
    specs = [value for value in values if _is_spec(value)]
    platforms = [value for value in values if "platforms" in value and not _is_spec(value)]
    for number, value in enumerate(values, start=1):
        if not any(value is known for known in (*specs, *platforms)):
            raise KfpEdgeError(_not_v2(value, number))
    if not specs:
        raise KfpEdgeError("there is a platform spec but no pipeline spec; a backend needs both in one file.")
    if len(specs) > 1 or len(platforms) > 1:
        kind = "pipeline" if len(specs) > 1 else "platform"
        raise KfpEdgeError(f"there is more than one {kind} spec; a backend takes one pipeline a file.")
    return PipelineFile(text, tuple(documents), (PipelineDocument(specs[0], "", platforms[0] if platforms else None),))


def _is_spec(document: Mapping[str, Any]) -> bool:
    return "kind" not in document and not _SPEC_KEYS.isdisjoint(document)


def _is_native(document: Mapping[str, Any]) -> bool:
    return str(document.get("apiVersion", "")).startswith(_KUBERNETES_NATIVE)


def _native_sources(documents: list[YamlDocument]) -> list[PipelineDocument]:
    """Find the pipeline specs in `Pipeline` and `PipelineVersion` manifests."""
    sources = []
    for number, document in enumerate(documents, start=1):
        prefix = at(document.path, "spec")
        spec = document.value.get("spec")
        match document.value.get("kind"):
            case "Pipeline":
                continue
            case "PipelineVersion" if isinstance(spec, dict) and "pipelineSpec" in spec:
                sources.append(
                    PipelineDocument(
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

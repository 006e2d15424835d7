"""Reading a file of compiled pipelines: YAML or JSON, one or two documents, or Kubernetes manifests."""

import codecs
import re
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from kfp_edge.errors import PipelineError
from kfp_edge.spec.validation.core_schema import join_surrogates, spaces_for_tabs
from kfp_edge.spec.validation.lint_findings import join_path

_KUBERNETES_NATIVE = "pipelines.kubeflow.org/"
_SPEC_KEYS = frozenset({"pipelineInfo", "deploymentSpec", "schemaVersion", "components", "root"})

#: The message about a file on which reading or checking recurses without end.
TOO_DEEP = "it is nested too deeply, or a YAML alias in it refers to itself."


@dataclass(frozen=True)
class YamlDocument:
    """One YAML document.

    Attributes:
        value: the mapping that the document holds.
        node: the root of PyYAML's tree of nodes, which know their lines and columns.
        path: the prefix of every path into the document.
    """

    value: dict[str, Any]
    node: yaml.Node
    path: str = ""


@dataclass(frozen=True)
class PipelineDocument:
    """One pipeline of a file: the pipeline spec, the platform spec if there is one, and the path of each."""

    spec: Any
    spec_path: str
    platform: Any = None
    platform_path: str = ""


@dataclass(frozen=True)
class PipelineFile:
    """The text of a file, its documents and the pipelines in them."""

    text: str
    documents: tuple[YamlDocument, ...]
    pipelines: tuple[PipelineDocument, ...]


def read_pipeline_file(text: str | bytes) -> PipelineFile:
    """Parse the text of a file of compiled pipelines.

    Raises:
        PipelineError: it is not YAML, or not a KFP v2 pipeline.
    """
    try:
        decoded = spaces_for_tabs(decode_text(text))
        documents = list(_load_documents(decoded))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise PipelineError(f"not valid YAML: {where}{error.problem or error.context}.") from error
    except (yaml.YAMLError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise PipelineError(f"not valid YAML: {reason}.") from error
    except RecursionError as error:
        raise PipelineError(TOO_DEEP) from error
    if not documents:
        raise PipelineError("the file holds no document; compile the pipeline again.")
    for number, document in enumerate(documents, start=1):
        if not isinstance(document.value, dict):
            raise PipelineError(f"document {number} is not a mapping, so this is not a KFP v2 pipeline.")
    return _pair_specs(decoded, documents)


class _Loader(yaml.SafeLoader):
    """Reads scalars as a backend does, which uses Go's yaml.v3, and for which a duplicate key is an error.

    PyYAML's own schema is YAML 1.1: there `yes` and `on` are true, `12:30` is a number and a date is no text.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        problem=f"the key {key.value!r} is given twice", problem_mark=key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> str:
        return join_surrogates(str(super().construct_scalar(node)))


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(?:0b[01_]+|0o?[0-7_]*|0x[0-9a-fA-F_]+|[1-9][0-9_]*)", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})$"), _first)


def decode_text(text: str | bytes) -> str:
    """Return the text without a byte order mark; YAML may be UTF-16 when the mark says so.

    Raises:
        UnicodeDecodeError: it is neither UTF-8 nor UTF-16.
    """
    if isinstance(text, str):
        return text.removeprefix("\ufeff")
    utf_16 = text.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return text.decode("utf-16" if utf_16 else "utf-8-sig")


def _load_documents(text: str) -> Iterator[YamlDocument]:
    constructor = _Loader("")  # a SafeLoader: it constructs plain values only
    for node in yaml.compose_all(text, Loader=_Loader):
        value = constructor.construct_document(node)
        if value is not None:
            yield YamlDocument(value, node)


def _pair_specs(text: str, documents: list[YamlDocument]) -> PipelineFile:
    """Pair every pipeline spec with its platform spec, as the backend does.

    Raises:
        PipelineError: the documents are not a KFP v2 pipeline.
    """
    values = [document.value for document in documents]
    if all(_is_kubernetes_native(value) for value in values):
        if len(documents) > 1:
            numbered = enumerate(documents, start=1)
            documents = [
                YamlDocument(document.value, document.node, f"documents[{number}]") for number, document in numbered
            ]
        return PipelineFile(text, tuple(documents), tuple(_specs_in_manifests(documents)))
    specs = [value for value in values if _is_pipeline_spec(value)]
    platforms = [value for value in values if "platforms" in value and not _is_pipeline_spec(value)]
    for number, value in enumerate(values, start=1):
        if not any(value is known for known in (*specs, *platforms)):
            raise PipelineError(_not_v2_message(value, number))
    if not specs:
        raise PipelineError("there is a platform spec but no pipeline spec; a backend needs both in one file.")
    if len(specs) > 1 or len(platforms) > 1:
        kind = "pipeline" if len(specs) > 1 else "platform"
        raise PipelineError(f"there is more than one {kind} spec; a backend takes one pipeline per file.")
    pipeline = PipelineDocument(specs[0], "", platforms[0] if platforms else None)
    return PipelineFile(text, tuple(documents), (pipeline,))


def _is_pipeline_spec(document: Mapping[str, object]) -> bool:
    return "kind" not in document and not _SPEC_KEYS.isdisjoint(document)


def _is_kubernetes_native(document: Mapping[str, object]) -> bool:
    return str(document.get("apiVersion", "")).startswith(_KUBERNETES_NATIVE)


def _specs_in_manifests(documents: list[YamlDocument]) -> list[PipelineDocument]:
    """Return the pipeline specs in `Pipeline` and `PipelineVersion` manifests."""
    pipelines = []
    for number, document in enumerate(documents, start=1):
        prefix = join_path(document.path, "spec")
        spec = document.value.get("spec")
        match document.value.get("kind"):
            case "Pipeline":
                continue
            case "PipelineVersion" if isinstance(spec, dict) and "pipelineSpec" in spec:
                pipelines.append(
                    PipelineDocument(
                        spec["pipelineSpec"],
                        join_path(prefix, "pipelineSpec"),
                        spec.get("platformSpec"),
                        join_path(prefix, "platformSpec"),
                    )
                )
            case "PipelineVersion":
                raise PipelineError(f"the PipelineVersion in document {number} has no spec.pipelineSpec.")
            case kind:
                raise PipelineError(f"document {number} is a {kind}; only Pipeline and PipelineVersion can be checked.")
    if not pipelines:
        raise PipelineError("there is a Pipeline manifest but no PipelineVersion, which holds the pipeline spec.")
    return pipelines


def _not_v2_message(document: Mapping[str, object], number: int) -> str:
    kind = document.get("kind")
    version = str(document.get("apiVersion", ""))
    if version.startswith(("argoproj.io/", "tekton.dev/")):
        return f"this is a {version} {kind}, which KFP v1 compiled to, not KFP v2; compile it with the KFP SDK 2."
    if "implementation" in document:
        return "this is a KFP v1 component, not a KFP v2 pipeline; compile a pipeline that uses it with the KFP SDK 2."
    if kind is not None:
        return f"document {number} is a Kubernetes {kind}, not a KFP v2 pipeline."
    return (
        f"document {number} is neither a KFP v2 pipeline spec nor a platform spec; a server ignores it, so remove it."
    )

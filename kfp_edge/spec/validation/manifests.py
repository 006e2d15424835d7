"""Checks of `Pipeline` and `PipelineVersion` manifests beyond the pipeline that they hold.

Source: the types in backend/src/crd/kubernetes/v2beta1 and the webhook in backend/src/apiserver/webhook, in which the
backends agree.
"""

from collections.abc import Iterator

from kfp_edge.kubernetes.names import describe_bad_object_name
from kfp_edge.spec.pipeline_file import YamlDocument
from kfp_edge.spec.validation.lint_findings import Finding, join_path


def check_manifests(documents: tuple[YamlDocument, ...]) -> Iterator[Finding]:
    """Find names that Kubernetes refuses, and versions whose pipeline is not the one beside them."""
    manifests = [document for document in documents if "kind" in document.value]
    pipelines = {_name(document) for document in manifests if document.value["kind"] == "Pipeline"}
    for document in manifests:
        name = _name(document)
        if remedy := describe_bad_object_name(name if isinstance(name, str) else ""):
            path = join_path(document.path, "metadata", "name")
            problem = f"is {name}, which is no name of a Kubernetes object" if name else "is missing"
            yield Finding("KE103", path, f"{problem}; {remedy}.")
        if document.value["kind"] == "PipelineVersion":
            yield from _check_pipeline_name(document, pipelines)


def _name(document: YamlDocument) -> object:
    metadata = document.value.get("metadata")
    return metadata.get("name") if isinstance(metadata, dict) else None


def _check_pipeline_name(document: YamlDocument, pipelines: set[object]) -> Iterator[Finding]:
    path = join_path(document.path, "spec", "pipelineName")
    name = document.value["spec"].get("pipelineName")
    if not name:
        yield Finding("KE103", path, "is missing; name the Pipeline whose version this is.")
    elif pipelines and name not in pipelines:
        beside = ", ".join(sorted(map(str, pipelines)))
        yield Finding("KE103", path, f"is {name}, and the Pipeline in this file is {beside}; the cluster refuses it.")

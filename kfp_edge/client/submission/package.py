"""A pipeline package as it is uploaded: validated YAML, and the name of its version."""

import hashlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from kfp_edge.client.submission.runtime_image import put_runtime_image
from kfp_edge.client.submission.secret_values import refuse_secret_values
from kfp_edge.client.submission.sent_values import check_quantities, check_size, check_values
from kfp_edge.kubernetes import Cluster
from kfp_edge.spec.backends.profiles import DEFAULT_BACKEND, Backend
from kfp_edge.spec.backends.schema import load_schema
from kfp_edge.spec.compiled_pipeline import CompiledPipeline, PipelineLike, is_pipeline_file, load_validated
from kfp_edge.spec.compiling.canonical_yaml import canonical_text
from kfp_edge.spec.compiling.target import CompileTarget
from kfp_edge.spec.parameters.values import check_no_signed_url
from kfp_edge.spec.pipeline_file import PipelineDocument
from kfp_edge.spec.preflight import check_arguments
from kfp_edge.spec.validation.protobuf_fields import parse_message
from kfp_edge.storage.files import JsonObject

_COMMIT_LENGTH = 12
_DIGEST_LENGTH = 12
_DEFAULT_TARGET = CompileTarget()


@dataclass(frozen=True)
class PipelinePackage:
    """A compiled pipeline that has been validated, with the git commit it was compiled from.

    Attributes:
        document: The pipeline spec, and the platform spec if there is one.
        commit: The commit of the checkout; empty outside of one.
        is_clean: Whether the checkout has no uncommitted changes.
        warning: What its user should know before it runs; empty if there is nothing.
        backend: For which backend it was compiled or validated.
    """

    document: PipelineDocument
    commit: str
    is_clean: bool
    warning: str = ""
    backend: Backend = DEFAULT_BACKEND

    @cached_property
    def text(self) -> str:
        """What is uploaded: JSON, which the backend reads as we have read the pipeline."""
        return canonical_text(self.document)

    @cached_property
    def pipeline(self) -> CompiledPipeline:
        """The pipeline."""
        return CompiledPipeline(self.text, self.document.spec)

    @cached_property
    def _messages(self) -> tuple[Message | None, Message | None]:
        return self._parse_specs(self.document.spec, self.document.platform)

    def _parse_specs(
        self, pipeline: JsonObject, platform: JsonObject | None = None
    ) -> tuple[Message | None, Message | None]:
        """Return messages of the backend; those that are installed may lack fields, which would not be compared."""
        schema = load_schema(self.backend)
        return parse_message(pipeline, schema.pipeline_spec), parse_message(platform or {}, schema.platform_spec)

    @property
    def version_names(self) -> Iterator[str]:
        """Names for its version: the commit, if that identifies the pipeline, then one with the YAML's digest."""
        digest = hashlib.sha256(self.text.encode()).hexdigest()[:_DIGEST_LENGTH]
        commit = self.commit[:_COMMIT_LENGTH]
        if commit and self.is_clean:
            yield commit
        yield f"{commit}-{digest}" if commit else digest

    def arguments(self, values: dict[str, Any]) -> dict[str, Any]:
        """Check parameter values; `revision`, where the pipeline has it and no value is given, becomes the commit.

        Raises:
            ParameterError: an unknown parameter, a value that a stage would refuse, or a required one that is missing.
        """
        arguments = self.pipeline.arguments(values)
        if "revision" in self.pipeline.parameters and self.commit:
            arguments = {"revision": self.commit, **arguments}
        for name, value in arguments.items():
            check_no_signed_url(name, value)
        check_values(arguments)
        check_arguments(self.pipeline, arguments)
        check_quantities(self.document, arguments)
        check_size(self.document, arguments)
        return arguments

    def is_equal_to(self, api_spec: JsonObject) -> bool:
        """Return whether a backend's copy of a pipeline equals this one; numbers and key styles may differ."""
        return self._messages == self._parse_specs(*split_spec(api_spec))


def make_package(
    pipeline: PipelineLike,
    cache: bool = True,
    image: str = "",
    cluster: Cluster | None = None,
    target: CompileTarget = _DEFAULT_TARGET,
) -> PipelinePackage:
    """Compile or read a pipeline, validate it, and determine its git commit.

    Args:
        pipeline: The name of a pipeline of kfp-edge, a compiled YAML or JSON file (a text that ends in .yaml, .yml or
            .json is one, too), or a pipeline function.
        cache: False disables caching for every task.
        image: The image of the stages, in place of the default; empty for that of the project, if it names one.
        cluster: Where the project's image is looked up; None if there is no cluster to ask.
        target: For which backend it is compiled or, if it is a file, validated.

    Raises:
        PipelineError: there is no such pipeline or file, the backend would refuse it, or there is a secret in it.
    """
    document = load_validated(pipeline, target)
    refuse_secret_values(pipeline, document, target.backend)
    warning = put_runtime_image(document, image, cluster)
    if not cache:
        _disable_caching(document.spec)
    commit, is_clean = _git_checkout(Path(pipeline).parent if is_pipeline_file(pipeline) else Path())
    return PipelinePackage(document, commit, is_clean, warning, target.backend)


def split_spec(api_spec: JsonObject) -> list[JsonObject]:
    """Return the pipeline spec, and the platform spec if there is one, from the API's field `pipeline_spec`."""
    if "pipeline_spec" in api_spec:
        return [api_spec["pipeline_spec"], api_spec["platform_spec"]]
    return [api_spec]


def parse_api_spec(api_spec: JsonObject) -> CompiledPipeline:
    """Return the pipeline in the API's field `pipeline_spec`."""
    spec = split_spec(api_spec)[0]
    return CompiledPipeline(json.dumps(spec), spec)


def _disable_caching(spec: JsonObject) -> None:
    for component in (spec["root"], *spec.get("components", {}).values()):
        for task in component.get("dag", {}).get("tasks", {}).values():
            task["cachingOptions"] = {}


def _git_checkout(folder: Path) -> tuple[str, bool]:
    """Return the commit of the git checkout around a folder, empty if there is none, and whether it is clean."""
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    return commit, bool(commit) and not _git(folder, "status", "--porcelain")


def _git(folder: Path, *args: str) -> str:
    # no git, no checkout and no commit yet all mean that there is no commit
    try:
        done = subprocess.run(["git", *args], cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""

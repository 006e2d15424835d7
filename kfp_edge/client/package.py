"""A pipeline as it is uploaded: its YAML, checked, and the name of its version."""

import hashlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from kfp_edge.spec.compiled_pipeline import CompiledPipeline, PipelineLike, text_of
from kfp_edge.spec.fields import parse

_COMMIT_LENGTH = 12
_DIGEST_LENGTH = 12


@dataclass(frozen=True)
class PipelinePackage:
    """A compiled pipeline, with the git commit it was compiled from.

    Attributes:
        text: The YAML, one or two documents.
        commit: The commit of the checkout; empty outside of one.
        clean: Whether the checkout has no change beside that commit.
    """

    text: str
    commit: str
    clean: bool

    @cached_property
    def pipeline(self) -> CompiledPipeline:
        """What the pipeline says of itself."""
        return CompiledPipeline(self.text)

    @cached_property
    def _messages(self) -> tuple[Any, Any]:
        return _messages(*filter(None, yaml.safe_load_all(self.text)))

    @property
    def version_names(self) -> Iterator[str]:
        """Names for its version: the commit, if it says everything, then one with the YAML's digest."""
        digest = hashlib.sha256(self.text.encode()).hexdigest()[:_DIGEST_LENGTH]
        commit = self.commit[:_COMMIT_LENGTH]
        if commit and self.clean:
            yield commit
        yield f"{commit}-{digest}" if commit else digest

    def arguments(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Check the parameters; `revision`, where the pipeline has it and it is not given, becomes the commit.

        Raises:
            KfpEdgeError: an unknown parameter, a value of the wrong type, or a required one that is missing.
        """
        found = self.pipeline.arguments(parameters)
        if "revision" in self.pipeline.parameters and self.commit:
            found = {"revision": self.commit, **found}
        return found

    def is_spec(self, spec: Any) -> bool:
        """Whether a backend's copy of a pipeline says the same as this one; numbers and key styles may differ."""
        return self._messages == _messages(*split_spec(spec))


def make_package(pipeline: PipelineLike, cache: bool = True) -> PipelinePackage:
    """Compile or read a pipeline, check it, and find out its git commit.

    Args:
        pipeline: The name of one of ours; a compiled YAML file (a text that ends in .yaml or .yml is one, too); or a
            pipeline function.
        cache: False switches caching off for every task.

    Raises:
        KfpEdgeError: there is no such pipeline or file, or a backend would not take it.
    """
    text = text_of(pipeline)
    is_file = isinstance(pipeline, Path) or str(pipeline).endswith((".yaml", ".yml"))
    folder = Path(str(pipeline)).parent if is_file else Path()
    commit, clean = _checkout(folder)
    return PipelinePackage(text if cache else _uncached(text), commit, clean)


def split_spec(spec: Any) -> list[Any]:
    """Return the pipeline spec, and the platform spec if there is one, of what the API calls `pipeline_spec`."""
    if "pipeline_spec" in spec:
        return [spec["pipeline_spec"], spec["platform_spec"]]
    return [spec]


def compiled(spec: Any) -> CompiledPipeline:
    """Return what a pipeline that the API gave says of itself."""
    return CompiledPipeline(json.dumps(split_spec(spec)[0]))


def _messages(pipeline: Any, platform: Any = None) -> tuple[Any, Any]:
    return parse(pipeline, "PipelineSpec"), parse(platform or {}, "PlatformSpec")


def _uncached(text: str) -> str:
    documents = list(yaml.safe_load_all(text))
    for component in (documents[0]["root"], *documents[0].get("components", {}).values()):
        for task in component.get("dag", {}).get("tasks", {}).values():
            task["cachingOptions"] = {}
    return yaml.safe_dump_all(documents, sort_keys=True)


def _checkout(folder: Path) -> tuple[str, bool]:
    """Return the commit of the git checkout around a folder, empty if there is none, and whether nothing is changed."""
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    return commit, bool(commit) and not _git(folder, "status", "--porcelain")


def _git(folder: Path, *args: str) -> str:
    # no git, no checkout and no commit yet are all no commit
    try:
        done = subprocess.run(["git", *args], cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""

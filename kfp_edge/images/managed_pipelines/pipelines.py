"""The pipelines that go into the image: validated, and named so that a pipeline server takes them.

An API server ends when a name, the list or a file of managed pipelines is not what it expects, and with it ends the
pipeline server of the project; a pipeline spec that it refuses leaves a pipeline without a version (`LoadSamples` in
backend/src/apiserver/config/config.go of red-hat-data-services/data-science-pipelines, branches rhoai-3.4 and
rhoai-3.5). So whatever it would refuse is refused here.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kfp_edge.errors import ImageError, ParameterError, PipelineError
from kfp_edge.runtime.component import DEFAULT_RUNTIME_IMAGE
from kfp_edge.spec.backends.profiles import BACKENDS, Backend
from kfp_edge.spec.compiled_pipeline import PipelineLike, load_validated
from kfp_edge.spec.compiling.canonical_yaml import canonical_text
from kfp_edge.spec.compiling.target import CompileTarget
from kfp_edge.spec.pipeline_names import describe_bad_managed_name
from kfp_edge.spec.workflow.texts import find_beyond_database


@dataclass(frozen=True)
class ManagedPipeline:
    """A pipeline in the image.

    Attributes:
        name: Its name on the server, which ends in a version.
        description: What the dashboard shows of it.
        text: What the server stores: JSON, which it reads as we have read the pipeline.
        images: The images of its stages, sorted.
    """

    name: str
    description: str
    text: str
    images: tuple[str, ...]

    @property
    def warnings(self) -> Iterator[str]:
        """What its users should know before they build the image."""
        if DEFAULT_RUNTIME_IMAGE in self.images:
            yield (
                f"{self.name}: its stages run in the public default image; for one of your own, set "
                "KFP_EDGE_RUNTIME_IMAGE where the pipeline is compiled."
            )
        if character := find_beyond_database(self.description + self.text):
            yield (
                f"{self.name} contains {character!r} (U+{ord(character):04X}), and MySQL, in which servers store "
                "pipelines by default, has no character beyond U+FFFF: the server would leave the pipeline out."
            )


def load_pipelines(pipelines: Iterable[PipelineLike], backend: Backend, suffix: str) -> list[ManagedPipeline]:
    """Compile or read pipelines and validate them, each named after itself and the suffix.

    Args:
        pipelines: Pipelines of kfp-edge by name, which are compiled for the backend, or compiled files.
        backend: The version of OpenShift AI that loads them.
        suffix: What their names end in, such as a version: a server that has a pipeline of the name leaves it as it is.

    Raises:
        ParameterError: the backend has no managed pipelines.
        PipelineError: there is no such pipeline or file, the backend would refuse it, or two have the same name.
    """
    if not backend.has_managed_pipelines:
        titles = [each.title for each in BACKENDS.values() if each.has_managed_pipelines]
        raise ParameterError(f"{backend.title} takes no image of managed pipelines; {' and '.join(titles)} do.")
    loaded = [_load(pipeline, backend, suffix) for pipeline in pipelines]
    check_unique([pipeline.name for pipeline in loaded])
    return loaded


def check_unique(names: Iterable[str]) -> None:
    """Check that no name is there twice.

    Raises:
        ImageError: with the first that is.
    """
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ImageError(f"two managed pipelines are named {name}, and a server takes none then; leave one out.")
        seen.add(name)


def _load(pipeline: PipelineLike, backend: Backend, suffix: str) -> ManagedPipeline:
    document = load_validated(pipeline, CompileTarget(backend))
    info = document.spec["pipelineInfo"]
    name = f"{info['name']}-{suffix}"
    if problem := describe_bad_managed_name(name):
        raise PipelineError(f"the name of the managed pipeline {problem}")
    executors = document.spec["deploymentSpec"].get("executors", {}).values()
    images = {executor["container"]["image"] for executor in executors if "container" in executor}
    return ManagedPipeline(name, info.get("description", ""), canonical_text(document), tuple(sorted(images)))

"""A compiled pipeline: its parameters with their types, its stages and the artifacts that they produce."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard, Union

from kfp_edge.errors import ParameterError, PipelineError
from kfp_edge.runtime.joined_stages import SEPARATOR
from kfp_edge.spec.backends.profiles import Backend
from kfp_edge.spec.compiling import compiler
from kfp_edge.spec.compiling.canonical_yaml import canonical_text
from kfp_edge.spec.compiling.target import CompileTarget
from kfp_edge.spec.parameters.element_types import ElementType, find_element_types
from kfp_edge.spec.parameters.numeric_texts import quote_numeric_texts
from kfp_edge.spec.parameters.values import Parameter, is_kind, read_value
from kfp_edge.spec.pipeline_file import PipelineDocument, read_pipeline_file
from kfp_edge.suggestions import suggest_or

if TYPE_CHECKING:
    from kfp.dsl.base_component import BaseComponent

_DEFAULT_TARGET = CompileTarget()
#: What the name of a file with a pipeline ends in.
_ENDINGS = (".yaml", ".yml", ".json")
#: An example of a mapping in the description of a parameter.
_MAPPING = re.compile(r"`(\{[^`]+\})`")
_EXIT_STRATEGY = "ALL_UPSTREAM_TASKS_COMPLETED"
#: A pipeline of kfp-edge by name, a compiled one by its file, or a function with `@dsl.pipeline`.
PipelineLike = Union[str, Path, "BaseComponent"]


def read_or_compile(pipeline: PipelineLike) -> str:
    """Return the YAML of a pipeline, its pipeline spec first; a text with a path or a file's ending names a file.

    Raises:
        PipelineError: there is no such pipeline or file, or a backend would refuse the file.
    """
    if is_pipeline_name(pipeline):
        return compiler.compile_to_yaml(compiler.load_pipeline(pipeline))
    if isinstance(pipeline, str | Path):
        return canonical_text(load_validated(pipeline))
    return compiler.compile_to_yaml(pipeline)


def load_validated(pipeline: PipelineLike, target: CompileTarget = _DEFAULT_TARGET) -> PipelineDocument:
    """Compile a pipeline for a target, or read one that is compiled, and validate it for the backend of the target.

    Stages of a compiled pipeline are joined, too, if the target asks for it; its limits are not set there.

    Raises:
        PipelineError: there is no such pipeline or file, or the backend would refuse it.
    """
    if is_pipeline_file(pipeline):
        description = str(pipeline)
        document = _validate(_read_file(Path(pipeline)), description, target.backend)
        if not target.is_joined:
            return document
        text = quote_numeric_texts(target.adapt(canonical_text(document)))
    else:
        description = f"the pipeline {getattr(pipeline, 'name', pipeline)}"
        text = compiler.compile_to_yaml(
            compiler.load_pipeline(pipeline) if is_pipeline_name(pipeline) else pipeline, target
        )
    return _validate(text, description, target.backend)


def _validate(text: str | bytes, description: str, backend: Backend) -> PipelineDocument:
    from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineSpec  # imports the whole of KFP, as validation does

    from kfp_edge.spec.validation.protobuf_fields import with_json_names
    from kfp_edge.spec.validation.validate import validate

    try:
        file = read_pipeline_file(text)
    except PipelineError as error:
        raise PipelineError(f"a backend would refuse {description}: {error}") from error
    report = validate(file, backend)
    if not report.ok:
        finding = report.findings[0]
        where = f"{finding.path} " if finding.path else ""
        raise PipelineError(f"a backend would refuse {description}: {where}{finding.message}")
    if "kind" in file.documents[0].value:
        raise PipelineError(
            f"{description} holds Kubernetes manifests, which go to a GitOps repository; give a pipeline."
        )
    document = file.pipelines[0]
    return replace(document, spec=with_json_names(document.spec, PipelineSpec))


def is_pipeline_file(pipeline: PipelineLike) -> TypeGuard[str | Path]:
    """Whether this is the file of a compiled pipeline, and not the name of one of kfp-edge or a function."""
    return isinstance(pipeline, str | Path) and not is_pipeline_name(pipeline)


def is_pipeline_name(pipeline: PipelineLike) -> TypeGuard[str]:
    """Whether this is the name of a pipeline of kfp-edge, and not a file or a function."""
    return isinstance(pipeline, str) and "/" not in pipeline and not pipeline.lower().endswith((*_ENDINGS, ".py"))


def _read_file(path: Path) -> bytes:
    if path.suffix.lower() == ".py":
        raise PipelineError(describe_python_file(path))
    try:
        return path.read_bytes()
    except OSError as error:
        raise PipelineError(f"cannot read the pipeline {path}: {error.strerror}; check the path.") from error


def describe_python_file(path: Path) -> str:
    """Return the sentence about a file of Python where a compiled pipeline is expected."""
    return (
        f"{path} is Python; compile it first: `kfp dsl compile --py {path} --output {path.with_suffix('.yaml').name}`."
    )


@dataclass(frozen=True)
class PathStep:
    """A task on the way from the pipeline to a stage.

    Attributes:
        name: Its name, unique among the tasks beside it.
        is_loop: Whether it runs once for each item of a list.
        runs_after: The tasks beside it after which it runs whatever happens, if it is an exit task; else empty.
    """

    name: str
    is_loop: bool = False
    runs_after: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stage:
    """A task that runs a container.

    Attributes:
        name: The task's name, which a task of another nested pipeline may have, too.
        artifacts: The types of its output artifacts by name.
        path: The tasks that contain it, the outermost first, and the task itself.
    """

    name: str
    artifacts: Mapping[str, str]
    path: tuple[PathStep, ...] = ()

    def producer_of(self, artifact: str) -> str:
        """Return the stage that writes an artifact: of stages that share a pod, one of them."""
        stage, separator, _ = artifact.partition(SEPARATOR)
        return stage if separator else self.name


class CompiledPipeline:
    """A compiled KFP v2 pipeline.

    Args:
        text: Its YAML or JSON: the pipeline spec, and the platform spec if it has one.
        spec: The pipeline spec in it, if that is known.
    """

    def __init__(self, text: str, spec: dict[str, Any] | None = None) -> None:
        self.text = text
        self._spec: dict[str, Any] = spec or read_pipeline_file(text).pipelines[0].spec

    @property
    def name(self) -> str:
        """The pipeline's name."""
        return str(self._spec["pipelineInfo"]["name"])

    @property
    def root(self) -> str:
        """Where its runs store artifacts; empty if that is up to the backend."""
        return str(self._spec.get("defaultPipelineRoot", ""))

    @property
    def parameters(self) -> dict[str, dict[str, Any]]:
        """Name to {"parameterType", "defaultValue", ...}, as the pipeline spec has it."""
        parameters: dict[str, dict[str, Any]] = self._spec["root"].get("inputDefinitions", {}).get("parameters", {})
        return parameters

    @cached_property
    def _element_types(self) -> dict[str, ElementType]:
        return find_element_types(self._spec)

    @property
    def stages(self) -> list[Stage]:
        """Every task that runs a container, those of nested pipelines included, in topological order."""
        return list(self._walk_stages(self._spec["root"]["dag"], ()))

    def _walk_stages(self, dag: dict[str, Any], parents: tuple[PathStep, ...]) -> Iterator[Stage]:
        waiting = dict(dag["tasks"])
        while waiting:
            ready = [n for n, task in waiting.items() if not set(task.get("dependentTasks", ())) & waiting.keys()]
            for name in ready:
                task = waiting.pop(name)
                component = self._spec["components"][task["componentRef"]["name"]]
                path = (*parents, _path_step(name, task))
                if "dag" in component:
                    yield from self._walk_stages(component["dag"], path)
                    continue
                artifacts = component.get("outputDefinitions", {}).get("artifacts", {})
                types = {key: _artifact_type(value) for key, value in artifacts.items()}
                yield Stage(name, types, path)

    def arguments(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Check values against the parameters; what people write is read as the parameter's type requires.

        Args:
            values: By name: a text as on the command line, a value of a parameter file, or a value of Python.

        Raises:
            ParameterError: an unknown parameter, a value of the wrong type, or a required one that is missing.
        """
        self._refuse_unknown([name for name in values if name not in self.parameters])
        arguments = {name: self._argument(name, value) for name, value in values.items()}
        missing = [
            name
            for name, definition in self.parameters.items()
            if not definition.get("isOptional") and "defaultValue" not in definition and name not in arguments
        ]
        if missing:
            raise ParameterError(
                f"the pipeline {self.name} needs the parameter {missing[0]!r}; give -p {missing[0]}=VALUE."
            )
        return arguments

    def _refuse_unknown(self, names: list[str]) -> None:
        if not names:
            return
        known = f"it has: {', '.join(self.parameters)}."
        if len(names) == 1:
            hint = suggest_or(names[0], self.parameters, known)
            raise ParameterError(f"the pipeline {self.name} has no parameter {names[0]!r}; {hint}")
        raise ParameterError(f"the pipeline {self.name} has no parameters {', '.join(map(repr, names))}; {known}")

    def _argument(self, name: str, value: object) -> Any:
        definition = self.parameters[name]
        kind = definition.get("parameterType", "")
        if not is_kind(kind):
            raise ParameterError(
                f"the parameter {name} of the pipeline {self.name} has no type, and a backend takes no value for it; "
                "leave it out."
            )
        example = _MAPPING.search(definition.get("description", ""))
        return read_value(
            Parameter(name, kind, self._element_types.get(name), example[1] if example else ""),
            value,
        )


def _path_step(name: str, task: Mapping[str, Any]) -> PathStep:
    is_exit_task = task.get("triggerPolicy", {}).get("strategy") == _EXIT_STRATEGY
    return PathStep(
        name,
        is_loop="parameterIterator" in task or "artifactIterator" in task,
        runs_after=tuple(task.get("dependentTasks", ())) if is_exit_task else (),
    )


def _artifact_type(definition: Mapping[str, Any]) -> str:
    return str(definition.get("artifactType", {}).get("schemaTitle", ""))


def readable_condition(condition: str) -> str:
    """Return the condition of a task as its author would write it: `mode == 'a'`."""
    return re.sub(r"inputs\.parameter_values\['(?:pipelinechannel--)?([^']+)'\]", r"\1", condition)

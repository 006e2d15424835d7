"""The texts that a backend writes into a Workflow, and hands to its driver as single arguments.

Source: backend/src/v2/compiler/argocompiler (argo.go, dag.go, container.go, importer.go) of KFP 2.16.1. KFP 2.5 to 2.17
and OpenShift AI 2.25 to 3.5 store components so, each container once.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message
from kfp.pipeline_spec.pipeline_spec_pb2 import ComponentSpec, PipelineDeploymentConfig, PipelineSpec, PipelineTaskSpec

from kfp_edge.spec.pipeline_file import PipelineDocument
from kfp_edge.spec.validation.document_parts import get_deployment_spec, get_mapping, get_platform_executors
from kfp_edge.spec.validation.lint_findings import join_path
from kfp_edge.spec.validation.protobuf_fields import parse_message

ROOT = "root"
#: Servers open MySQL with `utf8` (backend/src/apiserver/client/sql.go), which has three bytes for a character.
_BEYOND_DATABASE = re.compile("[\U00010000-\U0010ffff]")
#: What encoding/json of Go escapes for HTML's and JavaScript's sake.
_ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def to_go_json(value: object) -> str:
    """Return JSON as Go's encoding/json writes it: keys sorted, no spaces, `<`, `>` and `&` escaped."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).translate(_ESCAPES)


def find_beyond_database(text: str) -> str:
    """Return the first character of a text that MySQL's `utf8` has no bytes for; empty if there is none."""
    character = _BEYOND_DATABASE.search(text)
    return character[0] if character else ""


@dataclass(frozen=True)
class WorkflowText:
    """A text in a Workflow, which is also one argument of a pod.

    Attributes:
        path: Where it comes from in the YAML.
        description: What it is, for messages.
        text: The text, in JSON.
    """

    path: str
    description: str
    text: str


class WorkflowTexts:
    """The texts of a pipeline that passed validation, without what no task of it runs.

    Args:
        pipeline: The pipeline.
        arguments: Values of its parameters, to which defaults are added; None while they are not known.
    """

    def __init__(self, pipeline: PipelineDocument, arguments: Mapping[str, Any] | None) -> None:
        spec = parse_message(pipeline.spec, PipelineSpec)
        config = parse_message(get_deployment_spec(pipeline.spec), PipelineDeploymentConfig)
        assert spec is not None, "the pipeline passed validation"
        assert config is not None, "the pipeline passed validation"
        self._pipeline = pipeline
        self._spec = spec
        self._executors = config.executors
        self._platform_path, self._platform_executors = get_platform_executors(pipeline)
        self._texts: dict[str, WorkflowText] = {}
        self.arguments = {} if arguments is None else {**_defaults(spec.root), **arguments}
        self.name = spec.pipeline_info.name

    def component(self, name: str) -> ComponentSpec:
        """Return a component by its name, `root` for the pipeline itself."""
        return self._spec.root if name == ROOT else self._spec.components[name]

    def component_path(self, name: str) -> str:
        """Return where a component is in the YAML."""
        keys = (ROOT,) if name == ROOT else ("components", name)
        return join_path(self._pipeline.spec_path, *keys)

    @cached_property
    def component_names(self) -> tuple[str, ...]:
        """The components that the pipeline runs, the root first."""
        names = [ROOT]
        for name in names:  # grows while it is walked
            tasks = self.component(name).dag.tasks.values()
            names += [each for each in dict.fromkeys(task.component_ref.name for task in tasks) if each not in names]
        return tuple(names)

    @property
    def tasks(self) -> Iterator[tuple[str, str, PipelineTaskSpec]]:
        """Every task: the name of the component around it, its own name, its spec."""
        for name in self.component_names:
            for task_name, task in sorted(self.component(name).dag.tasks.items()):
                yield name, task_name, task

    def executor(self, name: str) -> PipelineDeploymentConfig.ExecutorSpec:
        """Return what a component runs; an empty one for a graph."""
        return self._executors[self.component(name).executor_label]

    def component_text(self, name: str) -> WorkflowText:
        """Return the specification of a component."""
        what = "the pipeline's root" if name == ROOT else f"the component {name}"
        return self._cached(what, self.component_path(name), lambda: _to_dict(self.component(name)))

    def implementation_text(self, name: str) -> WorkflowText:
        """Return the container or importer of a component, with the source of its function."""
        executor = self.executor(name)
        kind = "importer" if executor.HasField("importer") else "container"
        keys = ("deploymentSpec", "executors", self.component(name).executor_label, kind)
        path = join_path(self._pipeline.spec_path, *keys)
        return self._cached(f"the {kind} of {name}", path, lambda: _to_dict(getattr(executor, kind)))

    def kubernetes_text(self, name: str) -> WorkflowText:
        """Return the Kubernetes configuration of a component; an empty text if it has none."""
        label = self.component(name).executor_label
        path = join_path(self._platform_path, label)
        what = f"the Kubernetes configuration of {name}"
        return self._cached(what, path, lambda: self._platform_executors.get(label))

    def task_text(self, parent: str, name: str) -> WorkflowText:
        """Return a task, with the constants that it passes."""
        path = join_path(self.component_path(parent), "dag", "tasks", name)
        return self._cached(f"the task {name}", path, lambda: _to_dict(self.component(parent).dag.tasks[name]))

    def pod_metadata(self, name: str) -> dict[str, dict[str, str]]:
        """Return the annotations and labels of the pods of a component."""
        config = self._platform_executors.get(self.component(name).executor_label, {})
        return get_mapping(config, "podMetadata", "pod_metadata")

    def runtime_config_text(self) -> WorkflowText:
        """Return the values of the pipeline's parameters."""
        path = join_path(self.component_path(ROOT), "inputDefinitions", "parameters")
        values = {"parameterValues": self.arguments} if self.arguments else {}
        return WorkflowText(path, "the runtime configuration", to_go_json(values))

    def _cached(self, description: str, path: str, value: Callable[[], object]) -> WorkflowText:
        """Return a text, empty for no value; it is written once."""
        if path not in self._texts:
            content = value()
            self._texts[path] = WorkflowText(path, description, to_go_json(content) if content else "")
        return self._texts[path]

    @cached_property
    def driver_arguments(self) -> tuple[WorkflowText, ...]:
        """Every text that the driver gets as one argument."""
        texts = [self.runtime_config_text()]
        for name in self.component_names:
            texts.append(self.component_text(name))
            if self.component(name).executor_label:
                texts += [self.implementation_text(name), self.kubernetes_text(name)]
        texts += [self.task_text(parent, name) for parent, name, _ in self.tasks]
        return tuple(each for each in texts if each.text)


def _defaults(root: ComponentSpec) -> dict[str, Any]:
    return {
        name: json_format.MessageToDict(parameter.default_value)
        for name, parameter in root.input_definitions.parameters.items()
        if parameter.HasField("default_value")
    }


def _to_dict(message: Message) -> dict[str, Any]:
    return json_format.MessageToDict(message)

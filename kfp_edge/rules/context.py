"""What the rules look at: the containers and the tasks of a pipeline that a backend would accept."""

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from kfp.kubernetes.kubernetes_executor_config_pb2 import KubernetesExecutorConfig
from kfp.pipeline_spec.pipeline_spec_pb2 import (
    ComponentSpec,
    PipelineDeploymentConfig,
    PipelineSpec,
    PipelineTaskSpec,
)

from kfp_edge.spec.pipeline_file import PipelineDocument
from kfp_edge.spec.validation.document_parts import get_deployment_spec, get_platform_executors
from kfp_edge.spec.validation.lint_findings import join_path
from kfp_edge.spec.validation.protobuf_fields import parse_message

#: What stands in the place of an image where the backend's driver does the work, and no container runs.
_DRIVER_IMAGES = ("argostub/createpvc", "argostub/deletepvc")
_SHELL_COMMENT = re.compile(r"^\s*#.*$", re.MULTILINE)


@dataclass(frozen=True)
class CommandText:
    """A text that a container runs, and its path; of Python code, the calls and string literals in it."""

    path: str
    text: str


@dataclass(frozen=True)
class ContainerContext:
    """A container executor: its spec and its Kubernetes configuration, each with its path."""

    path: str
    spec: PipelineDeploymentConfig.PipelineContainerSpec
    platform_path: str
    platform: KubernetesExecutorConfig

    @cached_property
    def command_texts(self) -> tuple[CommandText, ...]:
        """Every word of command and arguments, then the words that are not Python code as one line."""
        texts = []
        shell_words = []
        for key in ("command", "args"):
            for index, word in enumerate(getattr(self.spec, key)):
                code = _summarize_python(word)
                text = _SHELL_COMMENT.sub("", word) if code is None else code
                texts.append(CommandText(f"{join_path(self.path, key)}[{index}]", text))
                if code is None:
                    shell_words.append(text)
        return (*texts, CommandText(join_path(self.path, "command"), " ".join(shell_words)))

    def find_command(self, *patterns: re.Pattern[str]) -> CommandText | None:
        """Return the first match of `patterns` in what the container runs: the matching text, and its path."""
        for pattern in patterns:
            for command in self.command_texts:
                if match := pattern.search(command.text):
                    return CommandText(command.path, match.group())
        return None


@dataclass(frozen=True)
class TaskContext:
    """A task with the component that it runs; `container` is None when that is a graph or an importer.

    `parent` is the path of the component in whose graph the task is, `component_path` that of the one that it runs.
    """

    path: str
    parent: str
    component_path: str
    spec: PipelineTaskSpec
    component: ComponentSpec
    container: ContainerContext | None


@dataclass(frozen=True)
class LintContext:
    """A pipeline; `components` holds the path and the spec of each component, the root first."""

    pipeline: PipelineDocument
    components: tuple[tuple[str, ComponentSpec], ...]
    containers: tuple[ContainerContext, ...]
    tasks: tuple[TaskContext, ...]


def build_lint_context(pipeline: PipelineDocument) -> LintContext:
    """Return the containers and tasks of a pipeline that passed validation."""
    spec = parse_message(pipeline.spec, PipelineSpec)
    assert spec is not None, "the pipeline passed validation"
    containers = dict(_containers(pipeline))
    components = [(join_path(pipeline.spec_path, "root"), spec.root)]
    components += [
        (join_path(pipeline.spec_path, "components", name), spec.components[name]) for name in sorted(spec.components)
    ]
    tasks = []
    for path, component in components:
        for name in sorted(component.dag.tasks):
            task = component.dag.tasks[name]
            task_component = spec.components[task.component_ref.name]
            container = containers.get(task_component.executor_label)
            task_path = join_path(path, "dag", "tasks", name)
            component_path = join_path(pipeline.spec_path, "components", task.component_ref.name)
            tasks.append(TaskContext(task_path, path, component_path, task, task_component, container))
    return LintContext(pipeline, tuple(components), tuple(containers.values()), tuple(tasks))


def _containers(pipeline: PipelineDocument) -> Iterator[tuple[str, ContainerContext]]:
    """Yield the container executors by label, without those of `CreatePVC` and `DeletePVC`, which run nothing."""
    config = parse_message(get_deployment_spec(pipeline.spec), PipelineDeploymentConfig)
    assert config is not None, "the pipeline passed validation"
    platform_path, platform_executors = get_platform_executors(pipeline)
    for label, executor in sorted(config.executors.items()):
        if executor.WhichOneof("spec") != "container" or executor.container.image in _DRIVER_IMAGES:
            continue
        platform = parse_message(platform_executors.get(label, {}), KubernetesExecutorConfig)
        assert platform is not None, "the pipeline passed validation"
        path = join_path(pipeline.spec_path, "deploymentSpec", "executors", label, "container")
        yield label, ContainerContext(path, executor.container, join_path(platform_path, label), platform)


def parse_python(text: str) -> ast.Module | None:
    """Return the tree of Python code; None for what is no Python. A word such as `sh` is valid Python too."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escape sequences in code that is not ours
            return ast.parse(text)
    except (SyntaxError, ValueError):
        return None


def _summarize_python(text: str) -> str | None:
    """Return the calls, imports and string literals of Python code, one per line; None for anything but Python.

    Comments and docstrings are left out, because they run nothing.
    """
    tree = parse_python(text)
    if tree is None or not any(isinstance(node, ast.FunctionDef | ast.Import | ast.ImportFrom) for node in tree.body):
        return None
    bare_expressions = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    lines = []
    for node in ast.walk(tree):
        match node:
            case ast.Call():
                lines.append(f"{ast.unparse(node.func)}(")
            case ast.ImportFrom(module=str(module)):
                lines.append(f"from {module} import")
            case ast.List() | ast.Tuple():
                lines.append(" ".join(_string_literal(item) for item in node.elts))
            case ast.Constant(value=str(value)) if id(node) not in bare_expressions:
                lines.append(value)
    return "\n".join(lines)


def _string_literal(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""

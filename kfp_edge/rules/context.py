"""What rules look at: the containers and the tasks of a pipeline that a backend would take."""

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from kfp_edge.spec.documents import PipelineDocument
from kfp_edge.spec.fields import at, parse
from kfp_edge.spec.validation import deployment, platform_executors

_SHELL_COMMENT = re.compile(r"^\s*#.*$", re.MULTILINE)


@dataclass(frozen=True)
class CommandText:
    """Text that a container runs, and where it stands; of Python code, what it calls and the words it uses."""

    path: str
    text: str


@dataclass(frozen=True)
class ContainerContext:
    """A container executor: `spec` is a `PipelineContainerSpec`, `platform` a `KubernetesExecutorConfig`."""

    path: str
    spec: Any
    platform_path: str
    platform: Any

    @cached_property
    def commands(self) -> tuple[CommandText, ...]:
        """What runs in it: every word of command and arguments, then the shell's words as one line."""
        said = []
        words = []
        for key in ("command", "args"):
            for index, word in enumerate(getattr(self.spec, key)):
                code = _python(word)
                text = _SHELL_COMMENT.sub("", word) if code is None else code
                said.append(CommandText(f"{at(self.path, key)}[{index}]", text))
                if code is None:
                    words.append(text)
        return (*said, CommandText(at(self.path, "command"), " ".join(words)))

    def runs(self, *patterns: re.Pattern[str]) -> CommandText | None:
        """Return where the first of `patterns` that is met stands, and the text that meets it."""
        for pattern in patterns:
            for said in self.commands:
                if found := pattern.search(said.text):
                    return CommandText(said.path, found.group())
        return None


@dataclass(frozen=True)
class TaskContext:
    """A task: `spec` is a `PipelineTaskSpec`, `component` the `ComponentSpec` it runs, `container` its executor."""

    path: str
    spec: Any
    component: Any
    container: ContainerContext | None


@dataclass(frozen=True)
class LintContext:
    """A pipeline; `components` holds the path and the `ComponentSpec` of each, the root first."""

    source: PipelineDocument
    components: tuple[tuple[str, Any], ...]
    containers: tuple[ContainerContext, ...]
    tasks: tuple[TaskContext, ...]


def lint_context(source: PipelineDocument) -> LintContext:
    """Return what rules look at in a pipeline in which `validate` found nothing."""
    spec = parse(source.spec, "PipelineSpec")
    containers = dict(_containers(source))
    components = [(at(source.spec_path, "root"), spec.root)]
    components += [
        (at(source.spec_path, "components", name), spec.components[name]) for name in sorted(spec.components)
    ]
    tasks = []
    for path, component in components:
        for name in sorted(component.dag.tasks):
            task = component.dag.tasks[name]
            runs = spec.components[task.component_ref.name]
            tasks.append(TaskContext(at(path, "dag", "tasks", name), task, runs, containers.get(runs.executor_label)))
    return LintContext(source, tuple(components), tuple(containers.values()), tuple(tasks))


def _containers(source: PipelineDocument) -> Iterator[tuple[str, ContainerContext]]:
    config = parse(deployment(source.spec), "PipelineDeploymentConfig")
    place, executors = platform_executors(source)
    for label, executor in sorted(config.executors.items()):
        if executor.WhichOneof("spec") == "container":
            yield (
                label,
                ContainerContext(
                    at(source.spec_path, "deploymentSpec", "executors", label, "container"),
                    executor.container,
                    at(place, label),
                    parse(executors.get(label, {}), "KubernetesExecutorConfig"),
                ),
            )


def _python(text: str) -> str | None:
    """Return what Python code calls and the texts in it, line by line; None for anything but Python.

    Comments and docstrings run nothing, so they are left out.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an odd escape in code that is not ours
            tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return None
    if not any(isinstance(node, ast.FunctionDef | ast.Import | ast.ImportFrom) for node in tree.body):
        return None  # a word such as `sh` is Python too
    silent = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    lines = []
    for node in ast.walk(tree):
        match node:
            case ast.Call():
                lines.append(f"{ast.unparse(node.func)}(")
            case ast.ImportFrom(module=str(module)):
                lines.append(f"from {module} import")
            case ast.List() | ast.Tuple():
                lines.append(" ".join(_text(item) for item in node.elts))
            case ast.Constant(value=str(value)) if id(node) not in silent:
                lines.append(value)
    return "\n".join(lines)


def _text(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""

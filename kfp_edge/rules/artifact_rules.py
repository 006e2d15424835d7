"""The rule on optional artifacts: what KFP makes of an annotation in a pod differs from a local run."""

import ast
from collections.abc import Iterator, Mapping

from kfp.pipeline_spec.pipeline_spec_pb2 import ComponentSpec

from kfp_edge.rules.context import ContainerContext, LintContext, TaskContext, parse_python
from kfp_edge.spec.validation.lint_findings import Finding, join_path

#: What KFP's compiler puts before the name of the function that its executor calls.
_FUNCTION = "--function_to_execute"


def check_optional_artifacts(context: LintContext) -> Iterator[Finding]:
    """Find tasks that get an artifact of which KFP's executor makes no object in a pod."""
    components = dict(context.components)
    for task in context.tasks:
        if task.container is None:
            continue
        annotations = _read_annotations(task.container)
        for name in sorted(_passed_artifacts(task, components) & annotations.keys()):
            if _is_optional(annotations[name]):
                path = join_path(task.path, "inputs", "artifacts", name)
                message = (
                    f"is annotated as `{ast.unparse(annotations[name])}`, which ends the task in every pod; write "
                    f"`{name}: Input[...] = None`."
                )
                yield Finding("KE018", path, message)


def _passed_artifacts(task: TaskContext, components: Mapping[str, ComponentSpec]) -> set[str]:
    """Return the inputs of a task that get one artifact for certain; KFP makes the objects of a list otherwise."""
    optional = {name for name, each in components[task.parent].input_definitions.artifacts.items() if each.is_optional}
    lists = {name for name, each in task.component.input_definitions.artifacts.items() if each.is_artifact_list}
    sources = task.spec.inputs.artifacts.items()
    return {name for name, source in sources if source.component_input_artifact not in optional} - lists


def _read_annotations(container: ContainerContext) -> dict[str, ast.expr]:
    """Return the annotations of the function that KFP's executor calls; none where its source is not in the YAML."""
    words = [*container.spec.command, *container.spec.args]
    if _FUNCTION not in words[:-1]:
        return {}
    function = words[words.index(_FUNCTION) + 1]
    trees = [tree for word in words if (tree := parse_python(word))]
    for node in (node for tree in trees for node in tree.body):
        if isinstance(node, ast.FunctionDef) and node.name == function:
            arguments = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
            return {each.arg: each.annotation for each in arguments if each.annotation is not None}
    return {}


def _is_optional(annotation: ast.expr) -> bool:
    match annotation:
        case ast.Subscript(value=ast.Name(id="Optional") | ast.Attribute(attr="Optional")):
            return True
        case ast.Subscript(value=ast.Name(id="Union") | ast.Attribute(attr="Union"), slice=ast.Tuple(elts=members)):
            return any(_is_none(member) for member in members)
        case ast.BinOp(op=ast.BitOr(), left=left, right=right):
            return _is_none(left) or _is_none(right)
    return False


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None

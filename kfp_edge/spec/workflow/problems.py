"""What keeps the Workflow of a pipeline from being started, executed or retried: texts and sizes."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from kfp_edge.spec.pipeline_file import PipelineDocument
from kfp_edge.spec.validation.lint_findings import Finding
from kfp_edge.spec.workflow.executions import Execution
from kfp_edge.spec.workflow.nodes import make_executor_input
from kfp_edge.spec.workflow.size import ARGO_LIMIT, ETCD_LIMIT, WorkflowSize
from kfp_edge.spec.workflow.templates import find_refused
from kfp_edge.spec.workflow.texts import WorkflowText, WorkflowTexts, find_beyond_database

#: Linux: MAX_ARG_STRLEN, which counts a zero byte at the end (execve(2)).
LONGEST_ARGUMENT = 128 * 1024 - 1
#: How to make a Workflow smaller.
_SMALLER = "move code into the image and data into files, loop over fewer items, or split the pipeline"
_MANY_ITERATIONS = 10
#: From this share of Argo's limit on, a warning is due: the estimate may be too small by a fifth.
_WARNED_SHARE = 0.8


def find_problems(pipeline: PipelineDocument, arguments: Mapping[str, Any] | None = None) -> Iterator[Finding]:
    """Yield what makes a server refuse a run, or ends it.

    Args:
        pipeline: A pipeline that has passed all other checks.
        arguments: Values of its parameters; None while they are not known, when only constants count.
    """
    texts = WorkflowTexts(pipeline, arguments)
    size = WorkflowSize(texts)
    yield from _find_templates(texts)
    yield from _find_long_arguments(texts, size.executions)
    yield from _find_large_workflow(texts, size)


def _find_templates(texts: WorkflowTexts) -> Iterator[Finding]:
    for each in texts.driver_arguments:
        if template := find_refused(each.text):
            yield Finding(
                "KE106",
                each.path,
                f"{each.description} contains {template!r}, which Argo Workflows cannot resolve. The server refuses to "
                "start a run; write it without two braces in a row.",
            )
    for name in texts.component_names:
        for key, value in _pod_metadata(texts, name):
            if "{{" in key.rpartition("}}")[2] or "{{" in value.rpartition("}}")[2]:
                yield Finding(
                    "KE106",
                    texts.kubernetes_text(name).path,
                    f"the annotation or label {key!r} contains {{{{ that nothing closes. The server refuses to start a "
                    "run; write it without two braces in a row.",
                )


def _pod_metadata(texts: WorkflowTexts, name: str) -> Iterator[tuple[str, str]]:
    metadata = texts.pod_metadata(name)
    for kind in ("annotations", "labels"):
        yield from metadata.get(kind, {}).items()


def _find_long_arguments(texts: WorkflowTexts, executions: Iterable[Execution]) -> Iterator[Finding]:
    long_tasks = {}
    for execution in executions:
        component = execution.task.component_ref.name
        task = texts.task_text(execution.parent, execution.name)
        finding = _check_length(task, len(task.text.encode()), "the driver")
        if finding is None and texts.executor(component).HasField("container"):
            size = len(make_executor_input(texts, component, execution).encode())
            finding = _check_length(replace(task, description=f"what {execution.name} gets"), size, "its pod")
        if finding is not None:
            long_tasks[execution.parent, execution.name] = finding
    yield from long_tasks.values()
    parents = {texts.component_path(parent) for parent, _ in long_tasks}
    for each in texts.driver_arguments:
        finding = _check_length(each, len(each.text.encode()), "the driver")
        # a graph is long where one of its tasks is
        if finding is not None and each.path not in {*parents, *(finding.path for finding in long_tasks.values())}:
            yield finding


def _check_length(text: WorkflowText, size: int, receiver: str) -> Finding | None:
    if size <= LONGEST_ARGUMENT:
        return None
    return Finding(
        "KE107",
        text.path,
        f"{text.description} has {size} bytes of JSON, and {receiver} gets it as one argument, which may have "
        f"{LONGEST_ARGUMENT}. The run fails; move long values into files, and code into the image.",
    )


def _find_large_workflow(texts: WorkflowTexts, size: WorkflowSize) -> Iterator[Finding]:
    if size.least <= ARGO_LIMIT:
        return
    path, loop = _describe_loop(texts, size)
    if size.least_specification > ETCD_LIMIT:
        problem = f"has about {_to_kib(size.specification)}, and Kubernetes stores at most {_to_kib(ETCD_LIMIT)}. "
        problem += "The server refuses to start a run"
    else:
        problem = f"grows to about {_to_kib(size.compressed)}{loop}, and Argo Workflows takes at most "
        problem += f"{_to_kib(ARGO_LIMIT)}. The run ends with an error"
    yield Finding("KE108", path, f"the Workflow of a run {problem}; {_SMALLER}.")


def find_warnings(pipeline: PipelineDocument, arguments: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what may keep a run from its end, or from a retry.

    Args:
        pipeline: A pipeline in which `find_problems` finds nothing.
        arguments: Values of its parameters; defaults are added.
    """
    texts = WorkflowTexts(pipeline, arguments)
    yield from _find_size_warnings(texts, WorkflowSize(texts))
    for each in WorkflowTexts(pipeline, None).driver_arguments:
        if character := find_beyond_database(each.text):
            yield Finding(
                "KE022",
                each.path,
                f"{each.description} contains {character!r} (U+{ord(character):04X}), and the database of most servers "
                "stores no character beyond U+FFFF; leave it out.",
            )


def _find_size_warnings(texts: WorkflowTexts, size: WorkflowSize) -> Iterator[Finding]:
    path, loop = _describe_loop(texts, size)
    warned = _WARNED_SHARE * ARGO_LIMIT
    if size.whole > warned and size.compressed > warned:
        message = f"grows to about {_to_kib(size.compressed)}{loop}, and Argo Workflows ends runs with more than "
        message += f"{_to_kib(ARGO_LIMIT)}"
    elif size.whole > ETCD_LIMIT:
        message = f"has about {_to_kib(size.whole)} at its end{loop}, and a server retries none with more than "
        message += f"{_to_kib(ETCD_LIMIT)}"
    else:
        return
    yield Finding("KE020", path, f"the Workflow of a run {message}; {_SMALLER}.")


def _describe_loop(texts: WorkflowTexts, size: WorkflowSize) -> tuple[str, str]:
    """Return the path of a loop that makes a Workflow large, and a remark on it; both are empty without one."""
    loop = size.largest_loop
    if loop is None or (loop.iterations or 0) < _MANY_ITERATIONS:
        return "", ""
    return texts.task_text(loop.parent, loop.name).path, f" with the {loop.iterations} iterations of {loop.name}"


def _to_kib(size: int) -> str:
    """Return a size for a message."""
    return f"{round(size / 1024)} KiB"

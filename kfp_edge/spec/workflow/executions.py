"""How often each task of a pipeline runs, and with which values, as far as both are known before the run."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineTaskSpec

from kfp_edge.spec.workflow.texts import ROOT, WorkflowTexts


@dataclass(frozen=True)
class Execution:
    """A task of a run.

    Attributes:
        parent: The name of the component around it.
        name: Its own name.
        task: Its specification.
        count: How often it runs, by the loops around it and its own; 1 for a loop over what an earlier task returns.
        iterations: How many items it loops over; None if it is no loop.
        inputs: Its inputs whose values are known.
        is_certain: Whether it runs so often whatever happens: neither a condition nor an earlier task decides.
    """

    parent: str
    name: str
    task: PipelineTaskSpec
    count: int
    iterations: int | None
    inputs: Mapping[str, Any]
    is_certain: bool


def walk_executions(texts: WorkflowTexts) -> Iterator[Execution]:
    """Yield every task that a run may execute, those of nested pipelines included."""
    yield from _walk(texts, (ROOT,), 1, texts.arguments, True)


def _walk(
    texts: WorkflowTexts, path: tuple[str, ...], count: int, values: Mapping[str, Any], is_certain: bool
) -> Iterator[Execution]:
    for name, task in sorted(texts.component(path[-1]).dag.tasks.items()):
        inputs = dict(_known_inputs(task, values))
        is_loop = task.HasField("parameter_iterator")
        items = _find_items(task, inputs)
        iterations = 1 if items is None else len(items)
        times = count * iterations
        certain = is_certain and not task.trigger_policy.condition and (not is_loop or items is not None)
        yield Execution(path[-1], name, task, times, iterations if is_loop else None, inputs, certain)
        reference = task.component_ref.name
        if items:
            # the longest item stands for all
            inputs[task.parameter_iterator.item_input] = max(items, key=lambda item: len(json.dumps(item)))
        if texts.component(reference).HasField("dag") and reference not in path:
            yield from _walk(texts, (*path, reference), times, inputs, certain)


def _known_inputs(task: PipelineTaskSpec, values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, source in task.inputs.parameters.items():
        if source.parameter_expression_selector:
            continue
        if source.WhichOneof("kind") == "runtime_value":
            yield name, json_format.MessageToDict(source.runtime_value.constant)
        elif source.component_input_parameter in values:
            yield name, values[source.component_input_parameter]


def _find_items(task: PipelineTaskSpec, inputs: Mapping[str, Any]) -> list[Any] | None:
    """Return what a loop runs over; None if it is no loop, or an earlier task decides."""
    items = task.parameter_iterator.items
    value = items.raw if items.WhichOneof("kind") == "raw" else inputs.get(items.input_parameter)
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return None
    return value if isinstance(value, list) else None

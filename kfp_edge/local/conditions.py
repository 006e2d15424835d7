"""Conditions of tasks, evaluated as a backend does: expressions in the Common Expression Language (CEL).

Source: `Condition` in backend/src/v2/expression (KFP 2.16.1), which gives an expression the inputs of the task.
"""

from collections.abc import Collection, Mapping
from typing import Any

import cel
from kfp.pipeline_spec.pipeline_spec_pb2 import DagOutputsSpec

from kfp_edge.errors import PipelineError
from kfp_edge.spec.compiled_pipeline import readable_condition


def is_met(condition: str, parameters: Mapping[str, Any]) -> bool:
    """Return whether the condition of a task is true.

    Args:
        condition: The expression, such as `inputs.parameter_values['verdict'] == 'better'`.
        parameters: The parameters of the task by name.

    Raises:
        PipelineError: it cannot be evaluated, or has no truth value.
    """
    try:
        value = cel.evaluate(condition, {"inputs": {"parameter_values": dict(parameters)}})
    except (ValueError, TypeError, KeyError, RuntimeError) as error:
        raise PipelineError(f"the condition `{readable_condition(condition)}` cannot be evaluated: {error}.") from error
    if not isinstance(value, bool):
        raise PipelineError(
            f"the condition `{readable_condition(condition)}` is {value!r}, and neither true nor false."
        )
    return value


def choose_outputs(outputs: DagOutputsSpec, skipped: Collection[str]) -> DagOutputsSpec:
    """Return the outputs of a graph, each of `dsl.OneOf` taken from the branch that ran; without those of no branch.

    Args:
        outputs: As they are declared.
        skipped: The tasks that did not run, because their condition was false.
    """
    chosen = DagOutputsSpec()
    chosen.CopyFrom(outputs)
    for name, parameter in outputs.parameters.items():
        if parameter.WhichOneof("kind") == "value_from_oneof":
            selectors = parameter.value_from_oneof.parameter_selectors
        else:
            selectors = [parameter.value_from_parameter]
        ran = [selector for selector in selectors if selector.producer_subtask not in skipped]
        del chosen.parameters[name]
        if ran:
            chosen.parameters[name].value_from_parameter.CopyFrom(ran[0])
    for name, artifact in outputs.artifacts.items():
        produced = [each for each in artifact.artifact_selectors if each.producer_subtask not in skipped]
        del chosen.artifacts[name]
        if produced:
            chosen.artifacts[name].artifact_selectors.append(produced[0])
    return chosen

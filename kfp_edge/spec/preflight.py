"""The rules of the stages, applied to a pipeline's arguments before a run is started."""

import importlib
from collections.abc import Mapping
from typing import Any

from kfp_edge.spec.compiled_pipeline import CompiledPipeline

#: Only the name of the module is known here: nothing in this package imports a stage.
_MODULE = "kfp_edge.components.preflight.parameters"
#: Stages that a pipeline begins with and that check all of its parameters: `preflight`, and those that are the only
#: stage of their pipeline.
CHECKING_STAGES = frozenset({"preflight", "promote", "rollback", "drift"})


def check_arguments(pipeline: CompiledPipeline, arguments: Mapping[str, Any]) -> None:
    """Check the parameters of a pipeline that begins with one of our stages that check them, as its pod will.

    Other pipelines have rules of their own, and are not checked.

    Raises:
        ParameterError: with every finding.
    """
    if any(stage.name in CHECKING_STAGES for stage in pipeline.stages):
        defaults = {name: item["defaultValue"] for name, item in pipeline.parameters.items() if "defaultValue" in item}
        importlib.import_module(_MODULE).check_parameters({**defaults, **arguments}, in_pod=True)

"""What all pods of a run need: those of its tasks, and those that our stages create."""

import importlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kfp_edge.prerequisites.pod_needs import PodNeeds
from kfp_edge.prerequisites.stage_needs import find_stage_needs
from kfp_edge.spec.compiled_pipeline import CompiledPipeline
from kfp_edge.spec.pipeline_file import PipelineDocument
from kfp_edge.spec.preflight import CHECKING_STAGES

#: Only the name of the module is known here: nothing in this package imports a stage.
_MODULE = "kfp_edge.components.preflight.needs"


def find_run_needs(
    document: PipelineDocument, pipeline: CompiledPipeline, arguments: Mapping[str, Any], namespace: str
) -> list[PodNeeds]:
    """Return what each pod of a run needs.

    Args:
        document: The pipeline, of kfp-edge or any other.
        pipeline: The same pipeline.
        arguments: The parameters that are given; the defaults of the others are added.
        namespace: Where the run will be.
    """
    defaults = {name: item["defaultValue"] for name, item in pipeline.parameters.items() if "defaultValue" in item}
    values = {**defaults, **arguments}
    needs = list(find_stage_needs(document, values))
    if any(stage.name in CHECKING_STAGES for stage in pipeline.stages):
        needs += importlib.import_module(_MODULE).find_needs(values)
    return [replace(pod, namespace=pod.namespace or namespace) for pod in needs]

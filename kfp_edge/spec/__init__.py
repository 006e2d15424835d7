"""Compiled pipelines: compile, read and validate KFP v2 YAML.

The names are loaded when they are first used: validation imports the whole of KFP.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kfp_edge.spec.compiled_pipeline import CompiledPipeline, PipelineLike, Stage
    from kfp_edge.spec.compiling.compiler import compile_to_manifests, compile_to_yaml, load_pipeline, pipeline_names
    from kfp_edge.spec.validation.lint_findings import Finding
    from kfp_edge.spec.validation.validate import PipelineInfo, ValidationReport, validate_file, validate_text

_MODULES = {
    "CompiledPipeline": "compiled_pipeline",
    "Finding": "validation.lint_findings",
    "PipelineInfo": "validation.validate",
    "PipelineLike": "compiled_pipeline",
    "Stage": "compiled_pipeline",
    "ValidationReport": "validation.validate",
    "compile_to_manifests": "compiling.compiler",
    "compile_to_yaml": "compiling.compiler",
    "load_pipeline": "compiling.compiler",
    "pipeline_names": "compiling.compiler",
    "validate_file": "validation.validate",
    "validate_text": "validation.validate",
}

__all__ = [
    "CompiledPipeline",
    "Finding",
    "PipelineInfo",
    "PipelineLike",
    "Stage",
    "ValidationReport",
    "compile_to_manifests",
    "compile_to_yaml",
    "load_pipeline",
    "pipeline_names",
    "validate_file",
    "validate_text",
]


if not TYPE_CHECKING:  # or a type checker would accept every name

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)

"""Our converters of skl2onnx, registered only while a model is converted.

skl2onnx has one registry for the whole process: left there, our converters would change what a notebook's own
`to_onnx` gives, such as a detector's labels.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from skl2onnx._parse import sklearn_parsers_map
from skl2onnx._supported_operators import sklearn_operator_name_map

from kfp_edge.components.export.converters import (
    detectors,
    discriminant_analysis,
    generalized_linear,
    linear_models,
    quantile_regressor,
    scalers,
    transformed_target,
)

#: Registers what skl2onnx lacks, or computes in float32 where that is not exact.
_CONVERTERS = (
    detectors.register_converters,
    discriminant_analysis.register_converters,
    generalized_linear.register_converters,
    linear_models.register_converters,
    scalers.register_converters,
    transformed_target.register_converter,
    quantile_regressor.register_converter,
)


@contextmanager
def registered_converters() -> Iterator[None]:
    """Let skl2onnx convert with the converters here, and afterwards as before."""
    # converters are found by names, and ours have names of their own: the two maps from a class lead to them
    registries = (sklearn_operator_name_map, sklearn_parsers_map)
    before = [dict(registry) for registry in registries]
    try:
        for register in _CONVERTERS:
            register()
        yield
    finally:
        for registry, entries in zip(registries, before, strict=True):
            registry.clear()
            registry.update(entries)

"""Linear and quadratic discriminant analysis in ONNX, in double precision.

skl2onnx 1.20 gives two classes of the linear one the probabilities of twice the decision value, up to 0.15 off, and
converts the quadratic one for a single row only.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from onnx import TensorProto
from skl2onnx import update_registered_converter
from skl2onnx.common._container import ModelComponentContainer
from skl2onnx.common._topology import Operator, Scope
from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis

from kfp_edge.components.export.converters.classifier_outputs import (
    CLASSIFIER_OPTIONS,
    add_outputs,
    asks_for_decisions,
    convert_linear_classifier,
)
from kfp_edge.components.export.converters.graph_builder import GraphBuilder
from kfp_edge.ml.arrays import Float64s


def register_converters() -> None:
    """Make skl2onnx convert both kinds of discriminant analysis with the converters here."""
    for kind, convert in (
        (LinearDiscriminantAnalysis, convert_linear_classifier),
        (QuadraticDiscriminantAnalysis, _convert_quadratic),
    ):
        update_registered_converter(
            kind,
            f"KfpEdge{kind.__name__}",
            calculate_linear_classifier_output_shapes,
            convert,
            options=CLASSIFIER_OPTIONS,
        )


def _convert_quadratic(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
    model: QuadraticDiscriminantAnalysis = operator.raw_operator
    graph = GraphBuilder(scope, operator, container)
    rows, axis = graph.cast(graph.rows, TensorProto.DOUBLE), graph.add_constant(np.array([1]))
    half = graph.add_constant(np.array([-0.5]))
    decisions = []
    for mean, rotation, scaling, prior in zip(
        *(_to_doubles(parts) for parts in (model.means_, model.rotations_, model.scalings_, model.priors_)), strict=True
    ):
        centred = graph.add("Sub", rows, graph.add_constant(mean))
        whitened = graph.add("MatMul", centred, graph.add_constant(rotation / np.sqrt(scaling)))
        distance = graph.add("ReduceSum", graph.add("Mul", whitened, whitened), axis, keepdims=1)
        constant = np.array([np.log(prior) - 0.5 * np.sum(np.log(scaling))])
        decisions.append(graph.add("Add", graph.add("Mul", distance, half), graph.add_constant(constant)))
    joined = graph.add("Concat", *decisions, axis=1)
    add_outputs(graph, model, joined, gives_decisions=asks_for_decisions(container, model))


def _to_doubles(parts: Iterable[npt.ArrayLike]) -> list[Float64s]:
    """Return the parts of a model in double precision: one that was fitted on float32 rows may be of float32."""
    return [np.asarray(part, np.float64) for part in parts]

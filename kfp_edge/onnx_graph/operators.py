"""Operators that no model may have: outputs cannot be reproduced, time has no bound, or the image cannot run them."""

import onnx

from kfp_edge.onnx_graph.locales import SERVED_LOCALES, find_locales
from kfp_edge.onnx_graph.scans import has_unbounded_scan
from kfp_edge.onnx_graph.traversal import iterate_nodes

#: Each operator with the reason.
_FORBIDDEN = {
    "Bernoulli": "it is random",
    "Multinomial": "it is random",
    "RandomNormal": "it is random",
    "RandomNormalLike": "it is random",
    "RandomUniform": "it is random",
    "RandomUniformLike": "it is random",
    "Loop": "its time has no bound",
    "ZipMap": "its output is no tensor",
}

#: The operator of onnxruntime itself that splits text into words, and its domain.
TEXT_DOMAIN = "com.microsoft"
_TOKENIZER = "Tokenizer"


def find_forbidden_operators(proto: onnx.ModelProto) -> dict[str, str]:
    """Return the forbidden operators of a model, those inside sub-graphs and functions included, with the reasons."""
    op_types = list_operators(proto)
    forbidden = {op_type: _FORBIDDEN[op_type] for op_type in sorted(op_types & _FORBIDDEN.keys())}
    if "Scan" in op_types and has_unbounded_scan(proto):
        forbidden["Scan"] = "the number of its steps depends on values, not on the number of rows"
    if locales := find_locales(proto) - SERVED_LOCALES:
        name = min(locales) or "of the environment"
        forbidden["StringNormalizer"] = f"it needs the locale {name}, which the serving image does not have"
    for domain, op_types in find_foreign_operators(proto).items():
        forbidden |= dict.fromkeys(sorted(op_types), f"of {domain}, which is neither ai.onnx nor ai.onnx.ml")
    return forbidden


def find_foreign_operators(proto: onnx.ModelProto) -> dict[str, set[str]]:
    """Return the operators that are not ONNX's own, nor functions of the model, by their domain.

    The exception is the operator that splits text: every build of onnxruntime has it, and skl2onnx needs it.
    """
    own = {"", "ai.onnx", "ai.onnx.ml", *(function.domain for function in proto.functions)}
    foreign: dict[str, set[str]] = {}
    for node in iterate_nodes(proto):
        if node.domain not in own and (node.domain, node.op_type) != (TEXT_DOMAIN, _TOKENIZER):
            foreign.setdefault(node.domain, set()).add(node.op_type)
    return foreign


def list_operators(proto: onnx.ModelProto) -> set[str]:
    """Return the operators of a model, those inside sub-graphs and functions included."""
    return {node.op_type for node in iterate_nodes(proto)}

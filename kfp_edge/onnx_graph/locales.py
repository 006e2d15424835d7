"""The locales by which text models change the case of letters (operator StringNormalizer).

onnxruntime loads such a model only where the C library has the locale: `en_US.UTF-8` if the model names none, which few
containers have. `C.UTF-8` is part of glibc itself, and changes the case of all letters alike.
"""

from collections.abc import Iterator

import onnx

from kfp_edge.onnx_graph.traversal import iterate_nodes

_OPERATOR = "StringNormalizer"
_ATTRIBUTE = "locale"
_PORTABLE = "C.UTF-8"
#: Spellings of the locale that onnxruntime takes where a model names none.
_DEFAULTS = ("en_US", "en_US.UTF-8", "en_US.utf8")
#: What the serving image has.
SERVED_LOCALES = frozenset({"C", "POSIX", _PORTABLE, "C.utf8", *_DEFAULTS})


def find_locales(proto: onnx.ModelProto) -> set[str]:
    """Return the locales that a model needs; an empty name is that of the environment."""
    return {_get_locale(node) for node in _iterate_normalizers(proto)}


def make_locales_portable(proto: onnx.ModelProto) -> bool:
    """Change the locale `en_US`, which a model without a locale has too, to `C.UTF-8`; return whether there was one."""
    nodes = [node for node in _iterate_normalizers(proto) if _get_locale(node) in _DEFAULTS]
    for node in nodes:
        others = [attribute for attribute in node.attribute if attribute.name != _ATTRIBUTE]
        del node.attribute[:]
        node.attribute.extend([*others, onnx.helper.make_attribute(_ATTRIBUTE, _PORTABLE)])
    return bool(nodes)


def _iterate_normalizers(proto: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    return (node for node in iterate_nodes(proto) if node.op_type == _OPERATOR)


def _get_locale(node: onnx.NodeProto) -> str:
    return next((attribute.s.decode() for attribute in node.attribute if attribute.name == _ATTRIBUTE), _DEFAULTS[0])

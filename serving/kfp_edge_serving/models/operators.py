"""The operators of an ONNX model, and whether they compute a row of a batch exactly as they compute it alone.

onnxruntime has no function that lists operators, and the package `onnx` is not in the image. So the few fields are read
here from the protobuf encoding ("Encoding", protobuf.dev).
"""

from collections.abc import Iterator

#: Fields of ModelProto, GraphProto and NodeProto (onnx.proto).
_GRAPH, _FUNCTIONS, _NODE, _OP_TYPE, _DOMAIN = 7, 25, 1, 4, 7
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_DOMAINS = frozenset({b"", b"ai.onnx", b"ai.onnx.ml"})

#: Operators that move or compare elements, round each result as IEEE 754 says, or take a row through its trees alone.
#: Those that add up a row, as MatMul does, and functions such as Exp and Log are not here: their vector code handles
#: the last elements of an array otherwise than the first ones, and the last bit of a row depends on its place.
_EXACT_OPERATORS = frozenset(
    b"Abs Add And ArgMax ArgMin ArrayFeatureExtractor Binarizer Cast Ceil Concat Constant ConstantOfShape Div Equal"
    b" Expand FeatureVectorizer Flatten Floor Gather Greater GreaterOrEqual Identity Imputer IsInf IsNaN LabelEncoder"
    b" Less LessOrEqual Mul Neg Not OneHotEncoder Or Reshape Scaler Shape Sign Slice Split Squeeze Sub Transpose"
    b" TreeEnsemble TreeEnsembleClassifier TreeEnsembleRegressor Unsqueeze Where Xor".split()
)


def has_exact_rows(model: bytes) -> bool:
    """Return whether the bits of a row's outputs cannot depend on the rows beside it.

    Args:
        model: An ONNX file that onnxruntime has loaded.
    """
    try:
        fields = list(_fields(memoryview(model)))
        graphs = [content for number, content in fields if number == _GRAPH]
        nodes = [content for graph in graphs for number, content in _fields(graph) if number == _NODE]
        return all(number != _FUNCTIONS for number, _ in fields) and all(map(_is_exact, nodes))
    except (ValueError, IndexError):  # an encoding that no exporter writes
        return False


def _is_exact(node: memoryview) -> bool:
    named = {number: bytes(content) for number, content in _fields(node) if number in (_OP_TYPE, _DOMAIN)}
    return named.get(_OP_TYPE) in _EXACT_OPERATORS and named.get(_DOMAIN, b"") in _DOMAINS


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield number and content of the fields that hold bytes, texts or messages."""
    position = 0
    while position < len(message):
        key, position = _read_varint(message, position)
        kind = key & 7
        if kind == _BYTES:
            length, position = _read_varint(message, position)
            yield key >> 3, message[position : position + length]
            position += length
        elif kind == _VARINT:
            _, position = _read_varint(message, position)
        elif kind in (_FIXED32, _FIXED64):
            position += 4 if kind == _FIXED32 else 8
        else:
            raise ValueError(f"protobuf has no fields of type {kind}")


def _read_varint(message: memoryview, position: int) -> tuple[int, int]:
    """Return a number, and the position behind it."""
    value = shift = 0
    while True:
        byte = message[position]
        value |= (byte & 0x7F) << shift
        position += 1
        if byte < 0x80:
            return value, position
        shift += 7

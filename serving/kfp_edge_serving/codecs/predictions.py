"""What a model predicts for each row, by name: the answer to rows of named columns, beside the protocol's tensors.

It is text, made from a template: objects of Python for each row would take as long as the inference.
"""

from collections.abc import Callable, Sequence
from functools import partial

import orjson

from kfp_edge_serving.codecs.tensors import Array
from kfp_edge_serving.models.bundle import TensorSpec

#: Returns the texts of the values of an output, for each row.
_Reader = Callable[[Array], list[list[bytes]]]


class RowPredictions:
    """The predictions of some outputs of a model; made once for all requests.

    An output without a row for each row of the request is not in them.
    """

    def __init__(self, outputs: Sequence[TensorSpec]) -> None:
        """Describe the outputs in the order in which a request asks for them."""
        by_row = [(position, output) for position, output in enumerate(outputs) if output.batch_dimension == 0]
        self._readers: list[tuple[int, _Reader]] = [(position, _reader(output)) for position, output in by_row]
        members = [b"%b:%b" % (_escaped(output.name), _template(output)) for _, output in by_row]
        self._template = b"{%b}" % b",".join(members)

    def encode(self, arrays: Sequence[Array]) -> orjson.Fragment:
        """Return a JSON list with an object for each row: outputs by name, probabilities by the names of the classes.

        Args:
            arrays: The output tensors.
        """
        columns = [read(arrays[position]) for position, read in self._readers]
        rows = (tuple(value for values in row for value in values) for row in zip(*columns, strict=True))
        return orjson.Fragment(b"[%b]" % b",".join([self._template % values for values in rows]))


def _template(output: TensorSpec) -> bytes:
    """Return the value of an output in JSON, with `%b` for what differs from row to row."""
    if output.has_number_of_each_class:
        return b"{%b}" % b",".join(b"%b:%%b" % _escaped(name) for name in output.classes)
    return b"%b"


def _reader(output: TensorSpec) -> _Reader:
    if output.datatype == "BYTES":
        return partial(_read_texts, by_class=output.has_number_of_each_class)
    if output.has_number_of_each_class:
        return lambda array: [row.split(b",") for row in _to_json(array)[2:-2].split(b"],[")] if len(array) else []
    if len(output.shape) == 1:
        return lambda array: [[value] for value in _to_json(array)[1:-1].split(b",")] if len(array) else []
    return lambda array: [[_to_json(row)] for row in array]


def _read_texts(array: Array, by_class: bool) -> list[list[bytes]]:
    rows = array.tolist()
    return [list(map(orjson.dumps, row)) if by_class else [orjson.dumps(row)] for row in rows]


def _to_json(array: Array) -> bytes:
    return orjson.dumps(array, option=orjson.OPT_SERIALIZE_NUMPY)


def _escaped(name: str) -> bytes:
    return orjson.dumps(name).replace(b"%", b"%%")

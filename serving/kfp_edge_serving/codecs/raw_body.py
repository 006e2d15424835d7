"""A body that is one raw tensor, without any JSON ("Raw Binary Request" of the binary tensor data extension)."""

from math import prod

from kfp_edge_serving.codecs.tensors import Array, check_shape, element_size, from_raw, from_values
from kfp_edge_serving.errors import RequestError
from kfp_edge_serving.models.bundle import TensorSpec
from kfp_edge_serving.models.model import Feed, Model


def parse_raw_body(model: Model, body: bytes) -> Feed:
    """Return the only input of a model, whose shape follows from the number of bytes.

    Raises:
        RequestError: the model has several inputs, or the shape of its input does not follow from the bytes.
    """
    if len(model.inputs) != 1:
        takes = ", ".join(f"'{name}'" for name in model.inputs)
        raise RequestError(f"a body without JSON is the only input of a model, and this one takes {takes}.")
    (spec,) = model.inputs.values()
    return {spec.name: _parse_text(spec, body) if spec.datatype == "BYTES" else _parse_numbers(spec, body)}


def _parse_text(spec: TensorSpec, body: bytes) -> Array:
    """Return a tensor of one element, which is the whole body."""
    layout = check_shape(spec.datatype, [1 if size == -1 else size for size in spec.shape], spec)
    try:
        return from_values([body.decode()], layout, spec)
    except UnicodeDecodeError as error:
        raise RequestError(f"the body, which is the text of input '{spec.name}', is not UTF-8.") from error


def _parse_numbers(spec: TensorSpec, body: bytes) -> Array:
    shape = list(spec.shape)
    unknown = [dimension for dimension, size in enumerate(shape) if size == -1]
    if len(unknown) > 1 and spec.batch_dimension in unknown:
        # without a shape the bytes are one row
        shape[spec.batch_dimension] = 1
        unknown.remove(spec.batch_dimension)
    if len(unknown) > 1:
        takes = f"takes shape {list(spec.shape)} (-1 is any size)"
        raise RequestError(f"input '{spec.name}' {takes}, which does not follow from a body without JSON.")
    if unknown:
        size = element_size(spec) * prod(size for size in shape if size != -1)
        if size == 0 or len(body) % size:
            raise RequestError(f"the body of {len(body)} bytes is no multiple of the {size} bytes of '{spec.name}'.")
        shape[unknown[0]] = len(body) // size
    return from_raw(body, check_shape(spec.datatype, shape, spec), spec)

"""Bring a model of any exporter to one form: domains, operator sets, no weights among its inputs, tensors as outputs.

Nothing here changes what a model computes.
"""

from dataclasses import dataclass, field

import onnx

from kfp_edge.errors import ModelError
from kfp_edge.ml.arrays import ClassLabel
from kfp_edge.ml.onnx_model import read_opsets
from kfp_edge.onnx_graph.locales import make_locales_portable
from kfp_edge.onnx_graph.operators import TEXT_DOMAIN, find_foreign_operators
from kfp_edge.onnx_graph.traversal import get_shape, iterate_nodes
from kfp_edge.onnx_graph.zip_maps import cut_zip_maps

#: Newest operator sets that the onnxruntime of the serving image runs.
MAX_OPSETS = {"": 22, "ai.onnx.ml": 4, TEXT_DOMAIN: 1}

#: The oldest operator set that onnxruntime runs.
_MIN_OPSET = 7
#: The operator set of ONNX for a model that has no operator of it.
_DEFAULT_OPSET = 18
#: Versions of the file format: the first one whose weights need not be inputs too, and the last one with all operator
#: sets above.
_MIN_IR_VERSION, _MAX_IR_VERSION = 8, 10


@dataclass
class NormalizedModel:
    """A model in the common form."""

    proto: onnx.ModelProto
    #: The classes that its ZipMap named, in the order of the probabilities.
    classes: tuple[ClassLabel, ...] = ()
    #: What was changed, each in one sentence.
    notes: list[str] = field(default_factory=list)


def normalize(proto: onnx.ModelProto) -> NormalizedModel:
    """Bring a model to the common form, and check it.

    Args:
        proto: The model as it was read; it is changed.

    Raises:
        ModelError: it is not valid, or uses operators that the server does not have.
    """
    _name_default_domain(proto)
    _keep_used_opsets(proto)
    _remove_weights_from_inputs(proto)
    _check_inputs_and_outputs(proto)
    _open_dimensions(proto)
    proto.ir_version = min(max(proto.ir_version, _MIN_IR_VERSION), _MAX_IR_VERSION)
    classes, has_zip_map = cut_zip_maps(proto)
    notes = ["ZipMap was removed: the probabilities are a tensor."] if has_zip_map else []
    if make_locales_portable(proto):
        notes.append("The case of text is changed by the locale C.UTF-8 in place of en_US, which does the same.")
    _add_missing_shapes(proto)
    check(proto)
    version = read_opsets(proto)[""]
    if not _MIN_OPSET <= version <= MAX_OPSETS[""]:
        target = MAX_OPSETS[""] if version > MAX_OPSETS[""] else _DEFAULT_OPSET
        proto = _convert_opset(proto, version, target)
        notes.append(f"Operator set {version} was converted to {target}.")
    return NormalizedModel(proto, classes, notes)


def check(proto: onnx.ModelProto) -> None:
    """Check a model with the ONNX checker, shape inference included.

    Raises:
        ModelError: it is not valid.
    """
    try:
        onnx.checker.check_model(proto, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"the model is no valid ONNX file ({reason}); export it again.") from error


def _name_default_domain(proto: onnx.ModelProto) -> None:
    """Write "" for `ai.onnx`, its other name, which onnx does not look up in nodes."""
    entries: list[onnx.NodeProto | onnx.OperatorSetIdProto] = [*iterate_nodes(proto), *proto.opset_import]
    entries += [entry for function in proto.functions for entry in function.opset_import]
    for entry in entries:
        if entry.domain == "ai.onnx":
            entry.domain = ""


def _keep_used_opsets(proto: onnx.ModelProto) -> None:
    """Leave the operator sets that nodes use, and ONNX's own, which some exporters do not list."""
    functions = {function.domain for function in proto.functions}
    used = {node.domain for node in iterate_nodes(proto)}
    if foreign := find_foreign_operators(proto):
        raise ModelError(
            f"the model uses operators of {', '.join(sorted(foreign))} "
            f"({', '.join(sorted(set().union(*foreign.values()))[:5])}), which the server does not "
            "have; export it with operators of ai.onnx and ai.onnx.ml only."
        )
    versions = {"": _DEFAULT_OPSET, **read_opsets(proto)}
    set_opsets(proto, {domain: version for domain, version in versions.items() if domain in used | functions | {""}})


def set_opsets(proto: onnx.ModelProto, versions: dict[str, int]) -> None:
    """Replace the list of operator sets; it is sorted, so that the same model gives the same bytes."""
    del proto.opset_import[:]
    proto.opset_import.extend(onnx.helper.make_opsetid(domain, version) for domain, version in sorted(versions.items()))


def _remove_weights_from_inputs(proto: onnx.ModelProto) -> None:
    """Remove inputs that have a value: up to version 3 of the format, all weights were listed as inputs."""
    weights = {tensor.name for tensor in proto.graph.initializer}
    inputs = [value for value in proto.graph.input if value.name not in weights]
    del proto.graph.input[:]
    proto.graph.input.extend(inputs)


def _check_inputs_and_outputs(proto: onnx.ModelProto) -> None:
    for kind, values in (("inputs", proto.graph.input), ("outputs", proto.graph.output)):
        if not values:
            raise ModelError(f"the model has no {kind}, as if it was cut short; export it again.")
    for value in proto.graph.input:
        if not _is_tensor(value):
            raise ModelError(
                f"the model's input {value.name!r} is no tensor, or may be left out; export it with tensors as inputs."
            )


def _open_dimensions(proto: onnx.ModelProto) -> None:
    """Open the dimensions of inputs and outputs that are 0 or -1, as which some exporters write any length."""
    for value in [*proto.graph.input, *proto.graph.output]:
        for dimension in value.type.tensor_type.shape.dim if get_shape(value) else ():
            if dimension.HasField("dim_value") and dimension.dim_value <= 0:
                dimension.Clear()


def _add_missing_shapes(proto: onnx.ModelProto) -> None:
    """Give every input and output that is a tensor a shape, which the checker requires."""
    for tensor in proto.graph.input:
        if get_shape(tensor) is None:
            _set_shape(tensor, [None, None])
    without_shape = [tensor for tensor in proto.graph.output if _is_tensor(tensor) and get_shape(tensor) is None]
    if not without_shape:
        return
    inferred = {output.name: output for output in onnx.shape_inference.infer_shapes(proto).graph.output}
    for tensor in without_shape:
        _set_shape(tensor, get_shape(inferred[tensor.name]) or [None, None])


def _is_tensor(value: onnx.ValueInfoProto) -> bool:
    return bool(value.type.WhichOneof("value") == "tensor_type")


def _set_shape(tensor: onnx.ValueInfoProto, shape: list[int | None]) -> None:
    tensor.CopyFrom(onnx.helper.make_tensor_value_info(tensor.name, tensor.type.tensor_type.elem_type, shape))


def _convert_opset(proto: onnx.ModelProto, version: int, target: int) -> onnx.ModelProto:
    try:
        converted = onnx.version_converter.convert_version(proto, target)
    except (RuntimeError, onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ModelError(
            f"the model has the operator set {version}, and the server has {_MIN_OPSET} to {MAX_OPSETS['']}; "
            f"export it with opset_version={target}."
        ) from error
    converted.ir_version = min(converted.ir_version, _MAX_IR_VERSION)
    return converted

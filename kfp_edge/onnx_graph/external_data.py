"""Weights that an ONNX model keeps in other files, as PyTorch's exporter does by default."""

from pathlib import Path

import onnx
from onnx.external_data_helper import load_external_data_for_tensor, uses_external_data

from kfp_edge.errors import ModelError
from kfp_edge.onnx_graph.traversal import iterate_tensors

#: The largest message that protobuf can write.
MAX_BYTES = 2**31 - 1


def list_locations(proto: onnx.ModelProto) -> list[str]:
    """Return the files with weights that a model names, relative to its own, sorted."""
    return sorted({_get_location(tensor) for tensor in iterate_tensors(proto) if uses_external_data(tensor)})


def include_weights(proto: onnx.ModelProto, folder: Path) -> None:
    """Read the weights in other files into the model.

    Args:
        proto: The model; it is changed.
        folder: The folder of the model's file. A file outside of it is refused.

    Raises:
        ModelError: a file is missing, too short, outside of the folder, or all weights are too large for one file.
    """
    for location in list_locations(proto):
        if not (folder / location).is_file():
            raise ModelError(
                f"the weights of the model are in another file, {location}, which is not beside it; "
                "bring both in one folder, or save the model as one file."
            )
    for tensor in iterate_tensors(proto):
        if uses_external_data(tensor):
            _include(tensor, folder)
    if proto.ByteSize() > MAX_BYTES:
        raise ModelError(f"the model has {proto.ByteSize() / 1e9:.1f} GB of weights, an ONNX file holds at most 2 GB.")


def _include(tensor: onnx.TensorProto, folder: Path) -> None:
    location = _get_location(tensor)
    try:
        load_external_data_for_tensor(tensor, str(folder))  # onnx refuses links and paths out of the folder
        onnx.numpy_helper.to_array(tensor)
    except (onnx.checker.ValidationError, ValueError, OSError) as error:
        raise ModelError(
            f"the weights of the model in {location} cannot be read ({str(error).splitlines()[0]}); "
            "copy both files again, or save the model as one file."
        ) from error
    tensor.data_location = onnx.TensorProto.DEFAULT
    del tensor.external_data[:]


def _get_location(tensor: onnx.TensorProto) -> str:
    return next((entry.value for entry in tensor.external_data if entry.key == "location"), "")

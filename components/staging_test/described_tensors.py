"""What a server says about the tensors of a model, in its metadata and its answers, against the signature."""

import json
from collections.abc import Sequence
from typing import Any

from kfp_edge.components.staging_test.inference_client import ClientResponse
from kfp_edge.ml.bundle import Bundle, InputTensor, OutputTensor, Signature
from kfp_edge.reports.check import Check


def check_metadata(response: ClientResponse, bundle: Bundle) -> Check:
    """Require the metadata of the model to be those that its signature gives."""
    required = "equal to the signature"
    signature = bundle.signature
    expected = {
        "name": bundle.manifest.name,
        "inputs": [_tensor_metadata(tensor) for tensor in signature.inputs],
        "outputs": [_tensor_metadata(tensor) for tensor in signature.outputs],
    }
    metadata = response.body if isinstance(response.body, dict) else {}
    wrong = [key for key, value in expected.items() if metadata.get(key) != value]
    if response.status != 200 or wrong:
        measured = f"{wrong[0]} is {json.dumps(metadata.get(wrong[0]))}" if metadata and wrong else str(response)
        return Check("metadata", False, measured, required)
    return Check("metadata", True, "equal", required)


def _tensor_metadata(tensor: InputTensor | OutputTensor) -> dict[str, Any]:
    metadata = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
    return metadata | {"parameters": _tensor_parameters(tensor) | {"batch_dimension": tensor.batch_dimension}}


def _tensor_parameters(tensor: InputTensor | OutputTensor) -> dict[str, Any]:
    """Return what the protocol has no field for; a parameter is no list, so that names are the text of a JSON array."""
    if isinstance(tensor, InputTensor):
        return {"columns": _to_text([column.name for column in tensor.columns])} if tensor.columns else {}
    parameters = {"classes": _to_text(tensor.classes)} if tensor.classes else {}
    details = {name: getattr(tensor, name) for name in ("threshold", "positive", "quantile", "units")}
    return parameters | {name: value for name, value in details.items() if value is not None}


def check_class_names(response: ClientResponse, signature: Signature) -> Check:
    """Require an answer to name the columns of each output that has a number for every class."""
    expected = {tensor.name: tensor.classes or () for tensor in signature.outputs if tensor.has_number_of_each_class}
    named = _read_class_names(response)
    wrong = [name for name, classes in expected.items() if named.get(name) != _to_text(classes)]
    measured = f"classes of {wrong[0]}: {named.get(wrong[0]) or 'none'}" if wrong else "named"
    return Check("class names", not wrong, measured, "named in answers as in the signature")


def _read_class_names(response: ClientResponse) -> dict[str, str]:
    try:
        outputs = response.body["outputs"]
        return {output["name"]: output["parameters"]["classes"] for output in outputs if "parameters" in output}
    except (KeyError, TypeError):
        return {}


def _to_text(names: Sequence[str]) -> str:
    return json.dumps(names, ensure_ascii=False)

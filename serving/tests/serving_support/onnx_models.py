"""Models in this process, for what needs no server; and bodies of the binary tensor data extension."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from kfp_edge_serving.codecs import json_codec
from kfp_edge_serving.models.bundle import load_bundle
from kfp_edge_serving.models.model import Model, ModelOptions


def load(folder: Path, **options: Any) -> Model:
    """Load a bundle as the server does."""
    model = Model(load_bundle(folder), ModelOptions(**options))
    model.start_serving(is_slow=False)
    return model


def ask(model: Model, request: Any) -> Any:
    """Return the answer to a request in JSON."""
    return orjson.loads(json_codec.infer(model, orjson.dumps(request)).body)


def raw(array: np.ndarray[Any, Any]) -> bytes:
    """Return the raw bytes of a tensor; strings are packed here by hand, as the extension specifies."""
    if array.dtype != np.object_:
        return array.tobytes()
    encoded = [str(value).encode() for value in array.reshape(-1)]
    return b"".join(struct.pack("<I", len(value)) + value for value in encoded)


def raw_request(arrays: dict[str, tuple[str, np.ndarray[Any, Any]]], **more: Any) -> tuple[bytes, int]:
    """Return a body with raw tensors, and the length of its JSON part; `arrays` are datatype and data by input."""
    tails = {name: raw(array) for name, (_, array) in arrays.items()}
    inputs = [
        {
            "name": name,
            "datatype": datatype,
            "shape": array.shape,
            "parameters": {"binary_data_size": len(tails[name])},
        }
        for name, (datatype, array) in arrays.items()
    ]
    head = json.dumps({"inputs": inputs} | more).encode()
    return head + b"".join(tails.values()), len(head)

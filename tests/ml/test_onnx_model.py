"""An ONNX model runs in onnxruntime, or is refused."""

import onnx
import pytest

from kfp_edge.errors import KfpEdgeError
from kfp_edge.ml.onnx_model import OnnxModel
from support.bundles import tiny_model, tiny_signature


def test_a_model_that_onnxruntime_cannot_load_is_refused_with_one_sentence() -> None:
    proto = onnx.load_from_string(tiny_model())
    proto.graph.node[0].domain = "acme"
    with pytest.raises(KfpEdgeError, match=r"^onnxruntime cannot run this model: .*acme") as error:
        OnnxModel(proto, tiny_signature())
    assert "\n" not in str(error.value)

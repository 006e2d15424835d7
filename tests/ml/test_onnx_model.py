"""An ONNX model runs in onnxruntime, or is refused."""

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper

from kfp_edge.errors import KfpEdgeError
from kfp_edge.ml.bundle import Column, InputTensor, OutputTensor, Signature
from kfp_edge.ml.onnx_model import OnnxModel, read_opsets
from support.bundles import tiny_model, tiny_signature


def test_a_model_that_onnxruntime_cannot_load_is_refused_with_one_sentence() -> None:
    proto = onnx.load_from_string(tiny_model())
    proto.graph.node[0].domain = "acme"
    with pytest.raises(KfpEdgeError, match=r"^onnxruntime cannot run this model: .*acme") as error:
        OnnxModel(proto, tiny_signature())
    assert "\n" not in str(error.value)


def test_of_an_operator_set_that_is_listed_twice_the_last_version_counts() -> None:
    listed = [("", 21), ("ai.onnx.ml", 5), ("ai.onnx", 18), ("ai.onnx.ml", 3)]
    opsets = [helper.make_opsetid(domain, version) for domain, version in listed]
    proto = helper.make_model(helper.make_graph([], "empty", [], []), opset_imports=opsets)
    assert read_opsets(proto) == {"": 18, "ai.onnx.ml": 3}


def _integer_model() -> OnnxModel:
    """Return a model that gives its only input, of INT8, as its label."""
    graph = helper.make_graph(
        [helper.make_node("Identity", ["n"], ["label"])],
        "identity",
        [helper.make_tensor_value_info("n", TensorProto.INT8, [None, 1])],
        [helper.make_tensor_value_info("label", TensorProto.INT8, [None, 1])],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    signature = Signature(
        task="classification",
        inputs=(InputTensor(name="n", datatype="INT8", shape=(-1, 1), columns=(Column(name="count"),)),),
        outputs=(OutputTensor(name="label", datatype="INT8", shape=(-1, 1)),),
    )
    return OnnxModel(proto, signature)


@pytest.mark.parametrize(("value", "text"), [(np.nan, "missing values"), (1.5, "1.5"), (128.0, "128")])
def test_a_number_that_an_integer_input_would_change_is_refused(value: float, text: str) -> None:
    message = f"input 'n' of the ONNX model takes whole numbers from -128 to 127, and column 'count' holds {text}; "
    with pytest.raises(KfpEdgeError, match=message):
        _integer_model().to_input_feed(pd.DataFrame({"count": [1.0, value]}))


def test_whole_numbers_reach_an_integer_input() -> None:
    model = _integer_model()
    feed = model.to_input_feed(pd.DataFrame({"count": [1.0, -128.0, 127.0]}))
    assert model.run(feed)["label"].tolist() == [[1], [-128], [127]]

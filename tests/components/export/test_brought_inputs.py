"""Which columns the inputs of a brought model take: those of their names, or the data's in its order."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from skl2onnx import convert_sklearn, to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from kfp_edge.errors import KfpEdgeError
from kfp_edge.ml.dataset import Dataset, Roles
from kfp_edge.ml.onnx_model import read_notes
from support.brought import answer, compute_probabilities, export_brought, make_net
from support.brought_tables import COLUMNS, make_data, reorder
from support.tables import failures

#: Names that are no columns.
NUMBERED = ("input_0", "input_1", "input_2")


def make_net_of_columns(features: tuple[str, ...], listed: tuple[str, ...], rank: int = 2) -> onnx.ModelProto:
    """Return a net with one input for each column.

    Args:
        features: The names of the inputs in the order in which the net uses them.
        listed: The same names in the order in which the model lists them.
        rank: 2 for inputs of the shape [rows, 1], 1 for [rows].
    """
    model = make_net(
        helper.make_node("Softmax", ["logits"], ["out"], axis=1), outputs={"out": (TensorProto.FLOAT, [None, 2])}
    )
    columns = [f"column_{number}" for number in range(3)]
    model.graph.node.insert(0, helper.make_node("Concat", columns, ["x"], axis=1))
    model.graph.initializer.append(helper.make_tensor("shape", TensorProto.INT64, [2], [-1, 1]))
    for name, column in zip(features, columns, strict=True):
        model.graph.node.insert(0, helper.make_node("Reshape", [name, "shape"], [column]))
    del model.graph.input[:]
    model.graph.input.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1][:rank]) for name in listed
    )
    return model


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("order", [(2, 0, 1), (1, 2, 0)])
@pytest.mark.parametrize("names", [COLUMNS, ("Temp", "PRESSURE", "speed")])
def test_inputs_called_as_columns_take_those_in_any_order(
    names: tuple[str, ...], order: tuple[int, ...], rank: int, tmp_path: Path
) -> None:
    data = make_data()
    listed = tuple(names[position] for position in order)
    model = export_brought(make_net_of_columns(names, listed, rank), data, tmp_path)
    assert [tensor.columns[0].name for tensor in model.signature.inputs] == [name.lower() for name in listed]
    expected = compute_probabilities(data.x().to_numpy())
    np.testing.assert_allclose(answer(model, data)["probabilities"], expected, atol=1e-6)
    assert "Each input takes the column of its name." in read_notes(model.proto)


def test_names_of_columns_that_no_identifier_may_have_are_recognised(tmp_path: Path) -> None:
    data = make_data(columns=("temp [C]", "pressure [bar]", "speed [1/min]"))
    names = ("temp__C_", "pressure__bar_", "speed__1_min_")
    model = export_brought(make_net_of_columns(names, names[::-1]), data, tmp_path)
    taken = [tensor.columns[0].name for tensor in model.signature.inputs]
    assert taken == ["speed [1/min]", "pressure [bar]", "temp [C]"]


def test_inputs_of_other_names_take_the_columns_in_the_order_of_the_data_which_the_notes_state(tmp_path: Path) -> None:
    data = make_data()
    model = export_brought(make_net_of_columns(NUMBERED, NUMBERED), data, tmp_path)
    np.testing.assert_allclose(
        answer(model, data)["probabilities"], compute_probabilities(data.x().to_numpy()), atol=1e-6
    )
    assert "in the order of the data, which the model does not state: temp, pressure, speed." in " ".join(
        read_notes(model.proto)
    )


def test_the_order_of_the_columns_of_a_single_input_is_stated(tmp_path: Path) -> None:
    data = reorder(make_data(), ("speed", "temp", "pressure"))
    frame = data.x()
    fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame.to_numpy(), data.y())
    model = export_brought(to_onnx(fitted, frame.to_numpy()[:1]), data, tmp_path)
    assert "The input takes the columns in the order of the data, which the model does not state: speed, temp," in (
        " ".join(read_notes(model.proto))
    )


def test_a_column_that_is_called_for_at_another_position_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KfpEdgeError, match="input 'temp' is called as a column and would get 'pressure'.*or none"):
        export_brought(make_net_of_columns(("a", "temp", "b"), ("a", "temp", "b")), make_data(), tmp_path)


def test_a_column_that_the_model_does_not_take_is_named(tmp_path: Path) -> None:
    data = make_data()
    data.frame["noise"] = np.float32(1)
    more = Dataset(data.frame, Roles("classification", "state", (*COLUMNS, "noise"), ()), data.sha256)
    with pytest.raises(KfpEdgeError, match=r"the data has 4 features: .*; drop the columns .* not use \(noise\)"):
        export_brought(make_net_of_columns(COLUMNS, COLUMNS), more, tmp_path)


def test_text_and_numbers_are_matched_by_name(tmp_path: Path) -> None:
    data = failures()
    frame = data.x()
    prepare = make_column_transformer((OneHotEncoder(), ["type"]), (StandardScaler(), ["heat [K]", "torque [Nm]"]))
    fitted = make_pipeline(prepare, LogisticRegression()).fit(frame, data.y())
    types = [
        (name, StringTensorType([None, 1]) if name == "type" else FloatTensorType([None, 1]))
        for name in ("type", "torque [Nm]", "heat [K]")
    ]
    model = export_brought(convert_sklearn(fitted, initial_types=types), data, tmp_path)
    np.testing.assert_allclose(answer(model, data)["probabilities"], fitted.predict_proba(frame), atol=1e-5)


def test_numbers_for_a_text_column_are_refused(tmp_path: Path) -> None:
    with pytest.raises(KfpEdgeError, match="input 'input_2' takes numbers, and the column 'type' .* another type"):
        export_brought(make_net_of_columns(NUMBERED, NUMBERED), failures(), tmp_path)


@pytest.mark.parametrize("name", ["label", "probabilities"])
def test_a_column_called_as_an_output_is_no_obstacle(name: str, tmp_path: Path) -> None:
    data = make_data(columns=("temp", name, "speed"))
    names = ("temp", name, "speed")
    model = export_brought(make_net_of_columns(names, names[::-1]), data, tmp_path)
    assert [tensor.columns[0].name for tensor in model.signature.inputs] == ["speed", name, "temp"]
    expected = compute_probabilities(data.x().to_numpy())
    np.testing.assert_allclose(answer(model, data)["probabilities"], expected, atol=1e-6)

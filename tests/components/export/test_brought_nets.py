"""Nets as PyTorch's exporter and others write them: what their outputs and graphs become."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from kfp_edge.errors import KfpEdgeError
from support.brought import answer, compute_probabilities, export_brought, make_classifier_net, make_net
from support.brought_tables import make_anomaly_data, make_data, make_regression_data

FLOAT, INT64, STRING = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING
node = helper.make_node
SECOND_LOGIT = (node("Sub", ["b", "a"], ["logit"]),)
SPLIT = (node("Split", ["logits"], ["a", "b"], axis=1, num_outputs=2),)


def assert_right(model: onnx.ModelProto, folder: Path, **options: Any) -> None:
    """Check that a net is released with the labels and the probabilities that NumPy computes."""
    data = make_data()
    exported = export_brought(model, data, folder, **options)
    assert [(output.name, output.shape) for output in exported.signature.outputs] == [
        ("label", (-1,)),
        ("probabilities", (-1, 2)),
    ]
    expected = compute_probabilities(data.x().to_numpy())
    for rows in (1, 7, 400):  # any number of rows
        answers = answer(exported, data, rows)
        tolerance = 5e-3 if answers["probabilities"].dtype == np.float16 else 1e-6
        np.testing.assert_allclose(answers["probabilities"], expected[:rows], atol=tolerance)
        is_decided = np.abs(expected[:rows, 0] - 0.5) > tolerance
        assert answers["label"].dtype == np.int64
        assert answers["label"][is_decided].tolist() == expected[:rows].argmax(axis=1)[is_decided].tolist()


def assert_refused(model: onnx.ModelProto, message: str, folder: Path, data: Any = None, **options: Any) -> None:
    with pytest.raises(KfpEdgeError, match=message) as caught:
        export_brought(model, data or make_data(), folder, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("tail", "shape"),
    [
        ((), [None, 2]),
        ((), None),
        ((node("Softmax", ["logits"], ["out"], axis=1),), [None, 2]),
        ((node("LogSoftmax", ["logits"], ["out"], axis=1),), [None, 2]),
        ((*SPLIT, node("Sub", ["b", "a"], ["out"])), [None, 1]),
        ((*SPLIT, *SECOND_LOGIT, node("Sigmoid", ["logit"], ["out"])), [None, 1]),
        ((*SPLIT, *SECOND_LOGIT, node("Sigmoid", ["logit"], ["p"]), node("Squeeze", ["p", "one"], ["out"])), [None]),
    ],
    ids=["logits", "logits of unknown shape", "softmax", "log-softmax", "logit", "sigmoid", "sigmoid without a column"],
)
def test_a_single_output_becomes_label_and_probabilities(
    tail: tuple[onnx.NodeProto, ...], shape: list[int | None] | None, tmp_path: Path
) -> None:
    name = "out" if tail else "logits"
    model = make_net(*tail, outputs={name: (FLOAT, shape or [])}, constants={"one": np.array([1])})
    if shape is None:
        model.graph.output[0].type.tensor_type.ClearField("shape")
    assert_right(model, tmp_path)


@pytest.mark.parametrize(
    ("last", "kind", "shape"),
    [
        (node("ArgMax", ["logits"], ["label"], axis=1, keepdims=1), INT64, [None, 1]),
        (node("Cast", ["best"], ["label"], to=FLOAT), FLOAT, [None]),
        (node("Cast", ["best"], ["label"], to=TensorProto.INT32), TensorProto.INT32, [None]),
        (node("Cast", ["best"], ["label"], to=TensorProto.BOOL), TensorProto.BOOL, [None]),
    ],
    ids=["column", "float", "int32", "bool"],
)
def test_a_label_of_any_type_and_shape_becomes_one_integer_a_row(
    last: onnx.NodeProto, kind: int, shape: list[int | None], tmp_path: Path
) -> None:
    best = node("ArgMax", ["logits"], ["best"], axis=1, keepdims=0)
    softmax = node("Softmax", ["logits"], ["probabilities"], axis=1)
    outputs = {"label": (kind, shape), "probabilities": (FLOAT, [None, 2])}
    assert_right(make_net(best, last, softmax, outputs=outputs), tmp_path)


def test_outputs_may_have_any_names_and_order(tmp_path: Path) -> None:
    softmax, best = (
        node("Softmax", ["logits"], ["score"], axis=1),
        node("ArgMax", ["logits"], ["value"], axis=1, keepdims=0),
    )
    assert_right(make_net(softmax, best, outputs={"score": (FLOAT, [None, 2]), "value": (INT64, [None])}), tmp_path)


def test_a_probability_of_one_class_beside_the_label_is_completed(tmp_path: Path) -> None:
    tail = (*SPLIT, *SECOND_LOGIT, node("Sigmoid", ["logit"], ["probabilities"]))
    best = node("ArgMax", ["logits"], ["label"], axis=1, keepdims=0)
    outputs = {"label": (INT64, [None]), "probabilities": (FLOAT, [None, 1])}
    assert_right(make_net(*tail, best, outputs=outputs), tmp_path)


def test_the_output_that_the_user_names_is_taken_of_several(tmp_path: Path) -> None:
    softmax = node("Softmax", ["logits"], ["state"], axis=1)
    model = make_net(softmax, outputs={"state": (FLOAT, [None, 2]), "scaled": (FLOAT, [None, 3])})
    assert_refused(model, r'outputs state \[rows, 2\], scaled \[rows, 3\]; name .*model_outputs=\["state"\]', tmp_path)
    assert_refused(model, "has no output 'stat'; its outputs are state, scaled", tmp_path, outputs=("stat",))
    assert_right(model, tmp_path, outputs=("state",))


def test_outputs_that_the_user_does_not_name_may_be_of_any_kind(tmp_path: Path) -> None:
    tail = (
        node("Softmax", ["logits"], ["state"], axis=1),
        node("SequenceConstruct", ["state"], ["steps"]),
        node("ReduceMean", ["logits"], ["mean_logit"], keepdims=0),
    )
    model = make_net(*tail, outputs={"state": (FLOAT, [None, 2]), "mean_logit": (FLOAT, [])})
    model.graph.output.append(helper.make_tensor_sequence_value_info("steps", FLOAT, [None, 2]))
    assert_right(model, tmp_path, outputs=("state",))
    message = r'output \'steps\' is no tensor; name those to use, such as model_outputs=\["state", "mean_logit"\]'
    assert_refused(model, message, tmp_path)


@pytest.mark.parametrize("shape", [None, [0, 3], [-1, 3]])
def test_an_input_of_an_unknown_shape_or_number_of_rows_takes_the_table(
    shape: list[int | None] | None, tmp_path: Path
) -> None:
    model = make_classifier_net()
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", FLOAT, shape))
    assert_right(model, tmp_path)


def test_probabilities_that_rounding_takes_out_of_their_range_are_cut_to_it(tmp_path: Path) -> None:
    # as of a binary forest of skl2onnx, whose votes are added up in single precision
    tail = (
        node("Softmax", ["logits"], ["shares"], axis=1),
        node("Add", ["shares", "rounding"], ["probabilities"]),
        node("ArgMax", ["logits"], ["label"], axis=1, keepdims=0),
    )
    outputs = {"label": (INT64, [None]), "probabilities": (FLOAT, [None, 2])}
    constants = {"rounding": np.array([[8e-7, -8e-7]], np.float32)}
    model = make_net(*tail, outputs=outputs, constants=constants)
    assert_right(model, tmp_path)
    data = make_data()
    probabilities = answer(export_brought(model, data, tmp_path), data)["probabilities"]
    assert (probabilities.min(), probabilities.max()) == (0, 1)


@pytest.mark.parametrize(("limit", "swapped"), [(0.5, False), (0.1, False), (0.5, True)])
def test_a_single_probability_is_that_of_the_class_whose_rows_have_the_higher_ones(
    limit: float, swapped: bool, tmp_path: Path
) -> None:
    # "bad" comes before "ok", and the number is the probability of "bad" where it is swapped
    names = ("ok", "bad") if swapped else ("bad", "ok")
    tail = (
        *SPLIT,
        *SECOND_LOGIT,
        node("Sigmoid", ["logit"], ["p"]),
        node("Greater", ["p", "limit"], ["is_high"]),
        node("Where", ["is_high", "high", "low"], ["label"]),
    )
    constants = {
        "limit": np.array(limit, np.float32),
        "low": np.array([names[0]], object),
        "high": np.array([names[1]], object),
    }
    model = make_net(*tail, outputs={"label": (STRING, [None, 1]), "p": (FLOAT, [None, 1])}, constants=constants)
    data = make_data(names)
    exported = export_brought(model, data, tmp_path)
    answers, expected = answer(exported, data), compute_probabilities(data.x().to_numpy())
    assert exported.signature.outputs[1].classes == names
    np.testing.assert_allclose(answers["probabilities"], expected, atol=1e-6)
    assert answers["label"].tolist() == [names[int(second > limit)] for second in expected[:, 1]]


def test_what_is_stated_and_has_no_meaning_for_the_task_is_refused(tmp_path: Path) -> None:
    regressor = make_net(*SPLIT, outputs={"a": (FLOAT, [None, 1])})
    detector = make_net(*SPLIT, outputs={"b": (FLOAT, [None, 1])})
    mapping = {"0": "ok", "1": "bad"}
    for model, data, options, message in (
        (make_classifier_net(), make_data(), {"threshold": 0.3}, "leave it empty for classification"),
        (regressor, make_regression_data(), {"threshold": 0.3}, "leave it empty for regression"),
        (regressor, make_regression_data(), {"classes": mapping}, "model_classes .* leave it empty for regression"),
        (detector, make_anomaly_data(), {"classes": mapping}, "model_classes .* leave it empty for anomaly"),
    ):
        assert_refused(model, message, tmp_path, data, **options)


@pytest.mark.parametrize("element", [TensorProto.DOUBLE, TensorProto.FLOAT16])
def test_other_floating_point_types_are_kept(element: int, tmp_path: Path) -> None:
    model = make_net(
        node("Softmax", ["logits"], ["out"], axis=1), outputs={"out": (element, [None, 2])}, element=element
    )
    if element == TensorProto.DOUBLE:
        assert_right(model, tmp_path)
        return
    exported = export_brought(model, make_data(), tmp_path)
    assert [tensor.datatype for tensor in exported.signature.inputs] == ["FP16"]


def test_half_precision_is_refused_for_a_column_that_it_cannot_hold(tmp_path: Path) -> None:
    data = make_data()
    softmax = node("Softmax", ["logits"], ["out"], axis=1)
    model = make_net(softmax, outputs={"out": (TensorProto.FLOAT16, [None, 2])}, element=TensorProto.FLOAT16)
    data.frame["speed"] += 60_000
    assert_refused(model, "cannot tell the values of the column 'speed' apart; export .* float32", tmp_path, data)
    data.frame["speed"] += 60_000
    assert_refused(model, r"cannot hold the values of the column 'speed', such as 12\d+", tmp_path, data)


@pytest.mark.parametrize("missing", [False, True])
def test_an_integer_input_is_refused_for_fractions_and_missing_values(missing: bool, tmp_path: Path) -> None:
    model = make_classifier_net()
    data = make_data()
    if missing:
        for name in data.roles.features:
            data.frame[name] = data.frame[name].round().mask(data.frame.index % 5 == 0)
    cast = node("Cast", ["whole"], ["x"], to=FLOAT)
    model.graph.node.insert(0, cast)
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("whole", INT64, [None, 3]))
    found = "missing values" if missing else r"\d+\.\d+"
    assert_refused(model, f"takes whole numbers, and column 'temp' holds {found}; .*float inputs", tmp_path, data)


def test_a_fixed_batch_is_opened(tmp_path: Path) -> None:
    for batch in (1, 32):
        assert_right(make_classifier_net(batch=batch), tmp_path)


def test_a_fixed_batch_with_a_reshape_to_it_is_opened(tmp_path: Path) -> None:
    tail = (node("Reshape", ["logits", "shape"], ["same"]), node("Softmax", ["same"], ["out"], axis=1))
    outputs = {"out": (FLOAT, [1, 2])}
    assert_right(make_net(*tail, outputs=outputs, batch=1, constants={"shape": np.array([1, 2])}), tmp_path)


def test_a_graph_of_a_single_row_is_run_row_by_row(tmp_path: Path) -> None:
    tail = (
        node("Squeeze", ["logits", "zero"], ["vector"]),
        node("Softmax", ["vector"], ["shares"], axis=0),
        node("Unsqueeze", ["shares", "zero"], ["out"]),
    )
    model = make_net(*tail, outputs={"out": (FLOAT, [1, 2])}, batch=1, constants={"zero": np.array([0])})
    assert_right(model, tmp_path)


def test_a_graph_of_a_few_rows_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    tail = (node("Reshape", ["logits", "shape"], ["flat"]), node("Softmax", ["flat"], ["shares"], axis=0))
    last = node("Reshape", ["shares", "rows"], ["out"])
    constants = {"shape": np.array([8]), "rows": np.array([4, 2])}
    model = make_net(*tail, last, outputs={"out": (FLOAT, [4, 2])}, batch=4, constants=constants)
    assert_refused(model, "exactly 4 rows at a time and cannot be changed .*dynamic_axes", tmp_path)


def test_an_open_width_is_that_of_the_data(tmp_path: Path) -> None:
    model = make_classifier_net()
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", FLOAT, [None, None]))
    assert_right(model, tmp_path)


def test_weights_that_are_listed_as_inputs_are_none(tmp_path: Path) -> None:
    model = make_classifier_net(ir_version=3, opset=13)
    for tensor in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, FLOAT, list(tensor.dims)))
    assert_right(model, tmp_path)


def test_the_other_name_of_the_default_domain_is_taken(tmp_path: Path) -> None:
    model = make_classifier_net()
    model.opset_import[0].domain = "ai.onnx"
    for each in model.graph.node:
        each.domain = "ai.onnx"
    assert_right(model, tmp_path)


def test_an_operator_set_that_no_node_uses_is_removed(tmp_path: Path) -> None:
    model = make_classifier_net()
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    assert_right(model, tmp_path)


def test_operators_that_the_server_does_not_have_are_named(tmp_path: Path) -> None:
    model = make_classifier_net()
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    model.graph.node[-1].domain = "com.microsoft"
    assert_refused(model, r"uses operators of com.microsoft \(ArgMax\), which the server does not have", tmp_path)


@pytest.mark.parametrize("opset", [13, 22, 23])
def test_operator_sets_of_other_ages_are_taken(opset: int, tmp_path: Path) -> None:
    model = make_classifier_net(opset=opset)
    assert_right(model, tmp_path)


@pytest.mark.parametrize(
    ("tail", "outputs", "message"),
    [
        ((node("ArgMax", ["logits"], ["label"], axis=1),), {"label": (INT64, [None, 1])}, "labels only"),
        ((node("Sigmoid", ["scaled"], ["out"]),), {"out": (FLOAT, [None, 3])}, "several labels at once"),
        ((node("Softmax", ["logits"], ["out"], axis=0),), {"out": (FLOAT, [None, 2])}, "otherwise alone than among"),
        (
            (node("Log", ["logits"], ["out"]),),
            {"out": (FLOAT, [None, 2])},
            "NaN or infinite for [0-9]+ of 400 ",
        ),
        ((node("ReduceMean", ["logits"], ["out"]),), {"out": (FLOAT, [1, 1])}, "the shape .* for 400 rows"),
        (
            (node("RandomNormalLike", ["logits"], ["out"]),),
            {"out": (FLOAT, [None, 2])},
            "RandomNormalLike .it is",
        ),
        (
            (node("ArgMax", ["logits"], ["label"], axis=1),),
            {"label": (INT64, [None, 1]), "logits": (FLOAT, [None, 2])},
            "no probabilities",
        ),
    ],
    ids=["no probabilities", "several labels", "softmax of rows", "NaN", "mean of rows", "random", "logits and label"],
)
def test_outputs_that_are_no_classification_are_refused(
    tail: tuple[onnx.NodeProto, ...], outputs: dict[str, tuple[int, list[int | None]]], message: str, tmp_path: Path
) -> None:
    assert_refused(make_net(*tail, outputs=outputs), message, tmp_path)


def test_a_sequence_is_refused(tmp_path: Path) -> None:
    model = make_classifier_net()
    model.graph.node.insert(0, node("ReduceMax", ["window"], ["x"], axes=[1], keepdims=0))
    model.opset_import[0].version = 17
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("window", FLOAT, [None, 10, 3]))
    assert_refused(model, "has the shape .*10, 3.*as a sequence or an image", tmp_path)


@pytest.mark.parametrize("shape", [[None, 1], [None]])
def test_a_net_that_predicts_a_number_gets_the_output_of_a_regression(shape: list[int | None], tmp_path: Path) -> None:
    data = make_regression_data()
    weights = np.array([[2], [0], [0]], np.float32)
    tail = [node("MatMul", ["scaled", "column"], ["product"]), node("Add", ["product", "ten"], ["sum"])]
    tail.append(node("Identity", ["sum"], ["y"]) if len(shape) == 2 else node("Squeeze", ["sum", "one"], ["y"]))
    constants = {"column": weights, "ten": np.float32(10), "one": np.array([1])}
    model = export_brought(make_net(*tail, outputs={"y": (FLOAT, shape)}, constants=constants), data, tmp_path)
    expected = 10 + 2 * (data.x()["temp"].to_numpy() - 50) / 5
    assert [output.name for output in model.signature.outputs] == ["prediction"]
    np.testing.assert_allclose(answer(model, data)["prediction"], expected, rtol=1e-5)

"""The classes of a brought model and those of the data: the same names, a mapping that is stated, or one sentence."""

import json
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from kfp_edge.components.export.parameters import parse_options
from kfp_edge.errors import KfpEdgeError
from kfp_edge.ml.onnx_model import read_notes
from support.brought import answer, compute_probabilities, export_brought, make_classifier_net, make_net
from support.brought_tables import make_data


@pytest.mark.parametrize(
    ("names", "mapping"),
    [
        ((1, 2), {"0": 1, "1": 2}),
        ((1, 2), {"0": 1.0, "1": 2.0}),  # as KFP passes whole numbers
        ((-1, 1), {"0": "-1", "1": "1"}),
        (("bad", "good"), {"0": "bad", "1": "good"}),
        (("good", "bad"), {"0": "good", "1": "bad"}),
    ],
)
@pytest.mark.parametrize("has_label", [True, False], ids=["label", "no label"])
def test_a_mapping_makes_the_labels_those_of_the_data(
    names: tuple[object, ...], mapping: dict[str, object], has_label: bool, tmp_path: Path
) -> None:
    data, model = make_data(names), make_classifier_net()
    if not has_label:
        del model.graph.output[0]
    with pytest.raises(KfpEdgeError, match="the model has the classes 0, 1, the data .*; state which is which with"):
        export_brought(model, data, tmp_path)
    exported = export_brought(model, data, tmp_path, classes=mapping)
    answers = answer(exported, data)
    probabilities = compute_probabilities(data.x().to_numpy())
    is_decided = np.abs(probabilities[:, 0] - 0.5) > 1e-6
    expected = np.array(names, object)[probabilities.argmax(axis=1)]
    assert answers["label"][is_decided].tolist() == expected[is_decided].tolist()
    np.testing.assert_allclose(answers["probabilities"], probabilities, atol=1e-6)
    assert exported.signature.outputs[1].classes == tuple(map(str, names))
    assert any(
        note.startswith("Classes of the model are those of the data: 0 is") for note in read_notes(exported.proto)
    )


def test_the_mapping_that_the_error_proposes_is_the_one_that_fits_the_rows(tmp_path: Path) -> None:
    data = make_data(("good", "bad"))  # not in the order of a LabelEncoder
    with pytest.raises(KfpEdgeError) as caught:
        export_brought(make_classifier_net(), data, tmp_path)
    start = str(caught.value).index("{")
    proposed = json.loads(str(caught.value)[start : str(caught.value).index("}") + 1])
    assert proposed == {"0": "good", "1": "bad"}
    export_brought(make_classifier_net(), data, tmp_path, classes=proposed)


@pytest.mark.parametrize(
    "mapping",
    [
        {"0": "bad"},
        {"0": "bad", "2": "good"},
        {"0": "bad", "1": "bad"},
        {"0": "bad", "1": "fine"},
        {"a": "bad", "b": "good"},
    ],
)
def test_a_mapping_of_other_classes_is_refused_with_both_lists(mapping: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(KfpEdgeError, match=r"model_classes is .*each class of the model \(0, 1\).*\(bad, good\)"):
        export_brought(make_classifier_net(), make_data(("bad", "good")), tmp_path, classes=mapping)


def test_classes_that_fit_only_in_another_order_are_refused(tmp_path: Path) -> None:
    model = make_classifier_net()
    weights = next(tensor for tensor in model.graph.initializer if tensor.name == "weights")
    weights.CopyFrom(helper.make_tensor("weights", TensorProto.FLOAT, [3, 2], [2, -2, 0, 0, 0, 0]))
    with pytest.raises(KfpEdgeError, match=r'in another order: .* with model_classes=\{"0": 1, "1": 0\}'):
        export_brought(model, make_data(), tmp_path)


def test_a_mapping_that_fits_only_in_another_order_is_refused_with_the_one_that_fits(tmp_path: Path) -> None:
    swapped = {"0": "worn", "1": "ok"}
    with pytest.raises(
        KfpEdgeError,
        match=r'^model_classes seems .* in another order: .* with model_classes=\{"0": "ok", "1": "w',
    ):
        export_brought(make_classifier_net(), make_data(("ok", "worn")), tmp_path, classes=swapped)


@pytest.mark.parametrize(
    ("width", "names", "message"),
    [
        (3, (0, 1), "classes 0, 1, 2, the data 0, 1; give the table"),
        (2, (0, 1, 2), "classes 0, 1, the data 0, 1, 2; give the table"),
        (1, (0, 1, 2), "one number for each row, and the data has 3 classes"),
    ],
)
def test_another_number_of_classes_is_refused(
    width: int, names: tuple[object, ...], message: str, tmp_path: Path
) -> None:
    weights = np.array([[-2, 2, 1], [0, 0, 0], [0, 0, 0]], np.float32)[:, :width]
    tail = helper.make_node("MatMul", ["scaled", "columns"], ["out"])
    model = make_net(tail, outputs={"out": (TensorProto.FLOAT, [None, width])}, constants={"columns": weights})
    with pytest.raises(KfpEdgeError, match=message):
        export_brought(model, make_data(names), tmp_path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model_classes": {"0": "a", "1": "a"}}, "gives the class 'a' twice"),
        ({"model_classes": {"0": ["a"]}}, "for the class '0'; give a class of the data"),
        ({"model_threshold": "high"}, "model_threshold is 'high'; give .* a number"),
        ({"model_threshold": "nan"}, "model_threshold is 'nan'"),
    ],
)
def test_parameters_that_cannot_be_meant_are_refused_before_the_run(values: dict[str, object], message: str) -> None:
    given = {"model_classes": {}, "model_outputs": [], "model_threshold": "", **values}
    with pytest.raises(KfpEdgeError, match=message):
        parse_options(**given)

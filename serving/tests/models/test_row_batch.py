"""Several rows at once: only where each of them has the bits that it has alone."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.base import BaseEstimator
from sklearn.datasets import make_classification
from sklearn.ensemble import GradientBoostingClassifier, IsolationForest, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVR

from kfp_edge_serving.models.bundle import load_bundle
from kfp_edge_serving.models.model import Model, ModelOptions
from kfp_edge_serving.models.operators import has_exact_rows
from kfp_edge_serving.models.row_batch import MAX_ROWS
from serving_support.bundles import mixed_bundle, numeric_bundle, sign, write
from serving_support.not_a_number import quotient_bundle
from serving_support.onnx_models import load
from serving_support.plain_models import make_model, put
from serving_support.server_process import running
from serving_support.typed_bundles import typed_bundle

_X, _Y = make_classification(300, 6, random_state=0)
_X = _X.astype(np.float32)


def sklearn_bundle(models: Path, estimator: BaseEstimator) -> Path:
    """Write an estimator, fitted, as a bundle of one FP32 input `X` [-1, 6] and return its folder."""
    estimator.fit(_X[:200], _Y[:200])
    options = {id(estimator): {"zipmap": False}} if hasattr(estimator, "predict_proba") else None
    exported = to_onnx(estimator, _X[:1], options=options, target_opset={"": 19, "ai.onnx.ml": 3})
    names = [output.name for output in exported.graph.output]
    kinds = {TensorProto.INT64: "INT64", TensorProto.FLOAT: "FP32"}
    shapes = [[-1, *(d.dim_value for d in output.type.tensor_type.shape.dim[1:])] for output in exported.graph.output]
    outputs = [
        {"name": name, "datatype": kinds[output.type.tensor_type.elem_type], "shape": shape, "batch_dimension": 0}
        for name, output, shape in zip(names, exported.graph.output, shapes, strict=True)
    ]
    columns = [{"name": f"c{index}"} for index in range(6)]
    signature = {
        "task": "anomaly",
        "inputs": [{"name": "X", "datatype": "FP32", "shape": [-1, 6], "columns": columns, "batch_dimension": 0}],
        "outputs": outputs,
    }
    tensor = {"name": "X", "datatype": "FP32", "shape": [8, 6], "data": _X[:8].ravel().tolist()}
    sample = {"request": {"inputs": [tensor]}, "response": {"outputs": []}}
    folder = write(models / "trained" / "1", "anomaly", exported.graph, signature, [sample])
    (folder / "model.onnx").write_bytes(exported.SerializeToString())
    sign(folder, task="anomaly")
    return folder


@pytest.mark.parametrize(
    ("estimator", "is_batched"),
    [
        (RandomForestClassifier(10, random_state=0), True),
        (GradientBoostingClassifier(n_estimators=10, random_state=0), True),
        (IsolationForest(n_estimators=10, random_state=0), False),
        (LogisticRegression(), False),
        (SVR(), False),
        (MLPClassifier((8,), max_iter=5, random_state=0), False),
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_rows_have_the_same_bits_in_every_batch_that_is_formed(
    tmp_path: Path, estimator: BaseEstimator, is_batched: bool
) -> None:
    model = load(sklearn_bundle(tmp_path, estimator))
    assert model.max_rows_at_once == (MAX_ROWS if is_batched else 1)
    alone = [model.run({"X": row[np.newaxis]}, model.all_outputs) for row in _X]
    for count in range(1, model.max_rows_at_once + 1):
        for start in range(0, len(_X) - count, 23):
            outputs = model.run_rows([(row.tobytes(),) for row in _X[start : start + count]])
            for position, expected in enumerate(alone[start : start + count]):
                assert [array[position].tobytes() for array in outputs] == [array.tobytes() for array in expected]


def test_texts_and_several_inputs_are_computed_at_once(tmp_path: Path) -> None:
    model = load(mixed_bundle(tmp_path))
    rows = [
        (np.float32(torque).tobytes(), [kind], np.int64(2).tobytes(), np.array([True]).tobytes())
        for torque, kind in ((2.5, "H"), (1.0, "L"), (1.0, "H\0"))
    ]
    assert [array.tolist() for array in model.run_rows(rows)] == [[[1], [0], [0]], [[6.5], [4.0], [4.0]]]


def test_the_rows_of_a_batch_are_counted_like_others(tmp_path: Path) -> None:
    model = load(mixed_bundle(tmp_path))
    row = (np.float32(90).tobytes(), ["H"], np.int64(2).tobytes(), np.array([True]).tobytes())
    model.run_rows([row, row])
    model.run_rows([(np.float32(1).tobytes(), *row[1:])])
    torque, kind, *_ = model.statistics.features()
    assert (torque.bins.counts.sum(), torque.out_of_range, kind.categories["H"]) == (3, 2, 3)
    assert model.statistics.classes() == {"1": 2, "0": 1}


@pytest.mark.parametrize("bundle", [typed_bundle, quotient_bundle])
def test_only_rows_of_a_known_size_have_memory_of_their_own(tmp_path: Path, bundle: object) -> None:
    model = load(bundle(tmp_path))  # type: ignore[operator]
    assert model.max_rows_at_once == (0 if bundle is typed_bundle else MAX_ROWS)


def test_a_slow_model_runs_in_threads_and_shares_no_memory(tmp_path: Path) -> None:
    model = load(quotient_bundle(tmp_path))
    model.start_serving(is_slow=True)
    assert model.max_rows_at_once == 0


def test_threads_may_add_up_one_row_in_another_order(tmp_path: Path) -> None:
    model = Model(load_bundle(quotient_bundle(tmp_path)), ModelOptions(), threads=2)
    model.start_serving(is_slow=False)
    assert model.max_rows_at_once == 1


def test_an_output_of_another_shape_than_the_signature_says_has_no_memory_of_its_own(tmp_path: Path) -> None:
    folder = numeric_bundle(tmp_path)
    signature = json.loads((folder / "signature.json").read_text())
    signature["outputs"][1]["shape"] = [-1, 3]
    (folder / "signature.json").write_text(json.dumps(signature))
    sign(folder)
    assert load(folder).max_rows_at_once == 0


def test_a_model_whose_rows_are_empty_is_served(tmp_path: Path) -> None:
    model = make_model([helper.make_node("Add", ["X", "X"], ["Y"])], ["batch", 0], ["batch", 0])
    put(model, tmp_path / "empty" / "1" / "model.onnx")
    with running(tmp_path) as server:
        request = {"inputs": [{"name": "X", "datatype": "FP32", "shape": [2, 0], "data": []}]}
        assert server.get("/v2/models/empty")[1]["inputs"][0]["shape"] == [-1, 0]
        status, answer = server.infer("empty", request)
    assert (status, "holds no data" in answer["error"]) == (400, True)


@pytest.mark.parametrize(
    ("operator", "domain", "is_exact"),
    [
        ("Add", "", True),
        ("TreeEnsembleRegressor", "ai.onnx.ml", True),
        ("MatMul", "", False),
        ("Exp", "", False),
        ("Add", "com.example", False),
    ],
)
def test_an_operator_is_exact_only_if_it_is_known_to_be(operator: str, domain: str, is_exact: bool) -> None:
    nodes = [helper.make_node("Identity", ["a"], ["b"]), helper.make_node(operator, ["b"], ["c"], domain=domain)]
    weights = numpy_helper.from_array(np.zeros(500, np.float32), "weights")
    model = helper.make_model(helper.make_graph(nodes, "g", [], [], [weights]))
    assert has_exact_rows(model.SerializeToString()) is is_exact


def test_functions_of_a_model_are_not_looked_into() -> None:
    function = helper.make_function("custom", "Add", ["a"], ["b"], [], [helper.make_opsetid("", 19)])
    graph = helper.make_graph([helper.make_node("Identity", ["a"], ["b"])], "g", [], [])
    assert not has_exact_rows(onnx.helper.make_model(graph, functions=[function]).SerializeToString())

"""Which dimension is the rows: what the signature says, in JSON and raw bytes; none is an answer."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kfp_edge_serving.codecs import json_codec
from kfp_edge_serving.errors import RequestError, StartError
from kfp_edge_serving.models.model import Model
from serving_support.bundles import numeric_bundle, sign
from serving_support.onnx_models import ask, load, raw_request
from serving_support.shaped_bundle import (
    attention_bundle,
    graph_bundle,
    sequence_bundle,
    signal_bundle,
    tensor,
)

Array = np.ndarray[Any, Any]
NODES = np.float32([[1, 2], [3, 4], [5, 6]])
EDGES = np.int64([[0, 1], [1, 2], [2, 0], [0, 2], [1, 1]])


def state(folder: Path, **statements: Any) -> Path:
    """Change what the signature of a bundle says of its tensors."""
    signature = json.loads((folder / "signature.json").read_text())
    for each in (*signature["inputs"], *signature["outputs"]):
        each.update(statements)
    (folder / "signature.json").write_text(json.dumps(signature))
    sign(folder)
    return folder


def infer(model: Model, *inputs: dict[str, Any]) -> dict[str, Any]:
    answer = ask(model, {"inputs": list(inputs)})
    return {output["name"]: (output["shape"], output["data"]) for output in answer["outputs"]}


def test_a_graph_has_as_many_nodes_and_edges_as_it_has(tmp_path: Path) -> None:
    model = load(graph_bundle(tmp_path))
    shape, data = infer(model, tensor("nodes", "FP32", NODES), tensor("edges", "INT64", EDGES))["score"]
    assert (shape, data) == ([3, 2], (NODES + EDGES.sum()).ravel().tolist())


def test_a_graph_is_taken_as_raw_bytes_too(tmp_path: Path) -> None:
    model = load(graph_bundle(tmp_path))
    answer = json_codec.infer(model, *raw_request({"nodes": ("FP32", NODES), "edges": ("INT64", EDGES)}))
    assert json.loads(answer.body)["outputs"][0]["shape"] == [3, 2]


def test_a_tensor_without_elements_does_not_reach_onnxruntime_which_some_operators_end(tmp_path: Path) -> None:
    model = load(graph_bundle(tmp_path))
    edges = tensor("edges", "INT64", np.empty((0, 2), np.int64))
    with pytest.raises(RequestError, match=r"input 'edges' has shape \[0, 2\], which holds no data"):
        infer(model, tensor("nodes", "FP32", NODES), edges)


def test_each_query_is_compared_with_each_key(tmp_path: Path) -> None:
    model = load(attention_bundle(tmp_path))
    queries, keys = np.ones((2, 2), np.float32), np.ones((7, 2), np.float32)
    answer = infer(model, tensor("queries", "FP32", queries), tensor("keys", "FP32", keys))
    assert answer["scores"] == ([2, 7], [2.0] * 14)


def test_a_signal_is_no_batch_and_may_be_longer_than_one(tmp_path: Path) -> None:
    model = load(signal_bundle(tmp_path))
    assert infer(model, tensor("samples", "FP32", np.arange(16_000)))["peak"] == ([1], [15_999.0])


def test_what_the_signature_calls_a_batch_is_limited_as_one(tmp_path: Path) -> None:
    model = load(signal_bundle(tmp_path, batch_dimension=0))
    with pytest.raises(RequestError, match="16000 rows are more than this server takes at once") as refused:
        infer(model, tensor("samples", "FP32", np.arange(16_000)))
    assert refused.value.status == 413


def test_the_batch_may_be_another_dimension_than_the_first(tmp_path: Path) -> None:
    model = load(sequence_bundle(tmp_path), max_rows=3)
    steps = np.arange(30, dtype=np.float32).reshape(10, 3, 1)
    assert infer(model, tensor("steps", "FP32", steps))["sum"] == ([3, 1], steps.sum(axis=0).ravel().tolist())
    with pytest.raises(RequestError, match="4 rows are more than this server takes"):
        infer(model, tensor("steps", "FP32", np.ones((2, 4, 1))))


def test_inputs_of_a_batch_have_the_same_number_of_rows(tmp_path: Path) -> None:
    model = load(graph_bundle(tmp_path, batch_dimension=0))
    with pytest.raises(RequestError, match="same number of rows, but 'nodes' has 3, 'edges' has 5"):
        infer(model, tensor("nodes", "FP32", NODES), tensor("edges", "INT64", EDGES))


@pytest.mark.parametrize("wrong", [3, -1, "all", 0.0, True])
def test_a_batch_dimension_that_is_none_is_refused(tmp_path: Path, wrong: Any) -> None:
    with pytest.raises(StartError, match="batch_dimension of 'samples' is .*, not a dimension of its shape"):
        load(signal_bundle(tmp_path, batch_dimension=wrong))


# --- signatures of earlier versions, which do not state it ---


def test_the_first_dimension_of_named_columns_is_the_batch_where_nothing_is_stated(tmp_path: Path) -> None:
    model = load(numeric_bundle(tmp_path), max_rows=2)
    with pytest.raises(RequestError, match="3 rows are more than this server takes"):
        infer(model, tensor("X", "FP32", np.ones((3, 3))))


def test_inputs_without_columns_are_no_batch_where_nothing_is_stated(tmp_path: Path) -> None:
    model = load(graph_bundle(tmp_path, batch_dimension=None))
    answer = infer(model, tensor("nodes", "FP32", NODES), tensor("edges", "INT64", EDGES))
    assert answer["score"][0] == [3, 2]


# --- rows of named columns ---


def test_rows_need_a_dimension_of_rows(tmp_path: Path) -> None:
    model = load(state(numeric_bundle(tmp_path), batch_dimension="none"))
    with pytest.raises(RequestError, match="input 'X' has no dimension of rows; give 'inputs' instead of 'rows'"):
        ask(model, {"rows": [{"torque": 1, "speed": 2, "wear": 3}]})


def test_a_table_with_columns_has_its_rows_first(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="input 'X' has columns, and its batch dimension is 1, not 0"):
        load(state(numeric_bundle(tmp_path), batch_dimension=1, shape=[-1, 3]))


# --- a batch of zero rows ---

NO_ROWS = np.empty((0, 3), np.float32)
EMPTY = {"label": ([0], []), "probabilities": ([0, 2], [])}


def test_a_batch_of_zero_rows_has_answers_for_zero_rows(tmp_path: Path) -> None:
    assert infer(load(numeric_bundle(tmp_path)), tensor("X", "FP32", NO_ROWS)) == EMPTY


def test_zero_rows_are_taken_as_raw_bytes_too(tmp_path: Path) -> None:
    body, size = raw_request({"X": ("FP32", NO_ROWS)}, parameters={"binary_data_output": True})
    answer = json_codec.infer(load(numeric_bundle(tmp_path)), body, size)
    outputs = json.loads(answer.body[: answer.json_bytes])["outputs"]
    assert [output["shape"] for output in outputs] == [[0], [0, 2]]
    assert [output["parameters"]["binary_data_size"] for output in outputs] == [0, 0]


def test_zero_rows_are_taken_without_a_header_as_kserves_client_sends_them(tmp_path: Path) -> None:
    sent = {"name": "X", "shape": [0, 3], "datatype": "FP32", "parameters": {"binary_data_size": 0}, "data": None}
    answer = json_codec.infer(load(numeric_bundle(tmp_path)), json.dumps({"inputs": [sent]}).encode())
    assert [output["shape"] for output in json.loads(answer.body)["outputs"]] == [[0], [0, 2]]


def test_zero_rows_of_named_columns_have_zero_predictions(tmp_path: Path) -> None:
    answer = ask(load(numeric_bundle(tmp_path)), {"rows": []})
    assert (answer["missing"], answer["predictions"]) == ([], [])


def test_zero_rows_are_not_given_to_an_operator_that_ends_the_process(tmp_path: Path) -> None:
    model = load(sequence_bundle(tmp_path))
    assert infer(model, tensor("steps", "FP32", np.empty((4, 0, 1)))) == {"sum": ([0, 1], [])}


def test_zero_rows_have_no_answer_where_their_shape_is_not_known(tmp_path: Path) -> None:
    model = load(attention_bundle(tmp_path, batch_dimension=0))
    nothing = np.empty((0, 2))
    with pytest.raises(RequestError, match="zero rows have no answer: the shape of output 'scores' does not follow"):
        infer(model, tensor("queries", "FP32", nothing), tensor("keys", "FP32", nothing))


def test_zero_rows_are_counted_as_none(tmp_path: Path) -> None:
    model = load(numeric_bundle(tmp_path))
    infer(model, tensor("X", "FP32", NO_ROWS))
    assert [feature.bins.counts.sum() for feature in model.statistics.features()] == [0, 0, 0]
    assert model.statistics.classes() == {"0": 0, "1": 0}

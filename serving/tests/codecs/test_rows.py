"""Rows of named columns, as a convenience beside tensors."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kfp_edge_serving.codecs import json_codec
from kfp_edge_serving.errors import RequestError
from kfp_edge_serving.models.model import Model
from serving_support.bundles import mixed_bundle, mixed_request, numeric_bundle
from serving_support.echo import KINDS, echo_bundle, row
from serving_support.onnx_models import ask, load
from serving_support.server_process import Server
from serving_support.typed_bundles import typed_bundle

FLOAT = np.finfo(np.float32)


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load(echo_bundle(tmp_path_factory.mktemp("echo")))


def outputs(answer: Any) -> dict[str, Any]:
    return {output["name"]: output["data"] for output in answer["outputs"]}


def seen(model: Model, *rows: Any) -> tuple[np.ndarray[Any, Any], Any]:
    """Return the numbers that a model was given for rows, NaN included, and the rest of its answer."""
    request = {"rows": rows, "outputs": [{"name": "X_out", "parameters": {"binary_data": True}}, {"name": "kind_out"}]}
    answer = json_codec.infer(model, orjson.dumps(request))
    numbers = np.frombuffer(answer.body[answer.json_bytes :], np.float32)
    return numbers.reshape(-1, 3), orjson.loads(answer.body[: answer.json_bytes])


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(RequestError) as refused:
        call()
    assert refused.value.status == 400
    return str(refused.value)


def test_rows_mean_the_same_as_tensors(server: Server) -> None:
    rows = [
        {"Torque [Nm]": 2.5, "Type": "H", "count": 2, "on": True},
        {"on": False, "count": 2, "Type": "L", "Torque [Nm]": 1},
    ]
    status, answer = server.infer("mill", {"id": "7", "rows": rows})
    assert status == 200
    assert answer.pop("missing") == [[], []]
    assert answer.pop("predictions") == [{"label": 1, "score": 6.5}, {"label": 0, "score": 3.0}]
    assert answer == server.infer("mill", {"id": "7", **mixed_request()})[1]


@given(order=st.permutations(list(row())))
@settings(max_examples=20, deadline=None)
def test_the_order_of_the_columns_does_not_matter(echo: Model, order: list[str]) -> None:
    values = row()
    assert ask(echo, {"rows": [{name: values[name] for name in order}]}) == ask(echo, {"rows": [values]})


def test_integers_are_numbers_too(echo: Model) -> None:
    answer = ask(echo, {"rows": [row(torque=1, speed=-2, wear=2**24)]})
    assert outputs(answer)["X_out"] == [1, -2, 2**24]


@pytest.mark.parametrize("absent", [None, ...])
def test_a_missing_number_is_nan_to_the_model_and_listed(echo: Model, absent: Any) -> None:
    numbers, answer = seen(echo, row(), row(speed=absent), row(torque=absent, wear=absent))
    np.testing.assert_array_equal(numbers, np.float32([[0.5, 1, 2.5], [0.5, np.nan, 2.5], [np.nan, 1, np.nan]]))
    assert answer["missing"] == [[], ["speed"], ["Torque [Nm]", "wear"]]


@pytest.mark.parametrize("absent", [None, ...])
def test_a_missing_category_is_empty_where_training_knew_missing_ones(echo: Model, absent: Any) -> None:
    _, answer = seen(echo, row(kind=absent))
    assert outputs({"outputs": answer["outputs"][1:]}) == {"kind_out": [""]}
    assert answer["missing"] == [["kind"]]


def test_an_empty_category_is_a_value_like_any_other(echo: Model) -> None:
    assert seen(echo, row(kind=""))[1]["missing"] == [[]]


@pytest.mark.parametrize("column", ["count", "on"])
def test_a_number_without_nan_cannot_be_missing(echo: Model, column: str) -> None:
    message = refusal(lambda: ask(echo, {"rows": [row(), row(**{column: None})]}))
    assert message == f"row 1 lacks the column '{column}', which cannot be missing."


def test_a_category_cannot_be_missing_where_training_knew_none(server: Server) -> None:
    status, answer = server.infer("mill", {"rows": [{"Torque [Nm]": 42.8, "count": 1, "on": True}]})
    assert (status, answer["error"]) == (400, "row 0 lacks the column 'Type', which cannot be missing.")


BAD = {
    "unknown column": (
        [row(), row(torqe=1)],
        "row 1 has a column 'torqe' that the model does not have; "
        "it takes 'Torque [Nm]', 'speed', 'wear', 'count', 'kind', 'on'.",
    ),
    "unknown category": (
        [row(), row(kind="M")],
        "input 'kind', row 1: 'M' is not a category of column 'kind'; allowed are '', 'H', 'L'.",
    ),
    "text for a number": (
        [row(), row(speed="fast")],
        "input 'X' takes numbers; element 4 of its data is 'fast' (row 1, column 'speed').",
    ),
    "flag for a number": (
        [row(torque=True)],
        "input 'X' takes numbers; element 0 of its data is true (row 0, column 'Torque [Nm]').",
    ),
    "fraction for an integer": (
        [row(count=1.5)],
        "input 'count' takes integers; element 0 of its data is 1.5 (row 0, column 'count').",
    ),
    "number for a flag": (
        [row(on=1)],
        "input 'on' takes true or false; element 0 of its data is 1 (row 0, column 'on').",
    ),
    "too large": (
        [row(), row(wear=1e39)],
        "input 'X' holds 1e+39, which is too large for FP32 (row 1, column 'wear').",
    ),
    "too large an integer": (
        [row(), row(count=2**63)],
        "input 'count' holds 9223372036854775808, an integer that INT64 cannot hold (row 1, column 'count').",
    ),
    "list for a value": (
        [row(wear=[1])],
        "input 'X' takes numbers; element 2 of its data is an array (row 0, column 'wear').",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_value_is_refused_with_one_sentence_that_names_row_and_column(echo: Model, case: str) -> None:
    rows, message = BAD[case]
    assert refusal(lambda: ask(echo, {"rows": rows})) == message


@pytest.mark.parametrize("rows", [{}, None, "x", [1], [{}, None], [[0.5]]])
def test_rows_are_a_list_of_objects(echo: Model, rows: Any) -> None:
    message = refusal(lambda: ask(echo, {"rows": rows}))
    assert message == "'rows' must be a list of objects, each with the values of one row by their columns' names."


def test_rows_and_inputs_are_not_mixed(server: Server) -> None:
    status, answer = server.infer("mill", {"rows": [row()], **mixed_request()})
    assert (status, answer["error"]) == (400, "the body has both 'rows' and 'inputs'; give one of them.")


def test_rows_need_named_columns(tmp_path: Path) -> None:
    model = load(typed_bundle(tmp_path))
    message = refusal(lambda: ask(model, {"rows": [{"fp32": 1}]}))
    assert message == "input 'bool' has no named columns; give 'inputs' instead of 'rows'."


@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {"count": st.integers(-(2**63), 2**63 - 1), "on": st.booleans()},
            optional={
                "Torque [Nm]": st.none() | st.floats(width=32, allow_nan=False, allow_infinity=False),
                "speed": st.none() | st.integers(-(2**24), 2**24),
                "wear": st.none() | st.floats(float(FLOAT.min), float(FLOAT.max)),
                "kind": st.none() | st.sampled_from(KINDS),
            },
        ),
        min_size=1,
        max_size=5,
    )
)
@settings(max_examples=200, deadline=None)
def test_any_rows_reach_the_model_as_they_are(echo: Model, rows: list[dict[str, Any]]) -> None:
    numbers, answer = seen(echo, *rows)
    names = ["Torque [Nm]", "speed", "wear"]
    wanted = [[np.nan if (value := one.get(name)) is None else value for name in names] for one in rows]
    np.testing.assert_array_equal(numbers, np.array(wanted, np.float32))
    assert outputs({"outputs": answer["outputs"][1:]})["kind_out"] == [one.get("kind") or "" for one in rows]
    assert answer["missing"] == [[name for name in [*names, "kind"] if one.get(name) is None] for one in rows]


@pytest.mark.parametrize("write", [numeric_bundle, mixed_bundle])
def test_rows_are_answered_by_the_version_in_the_path(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    model = load(write(tmp_path))
    known = [column.name for tensor in model.inputs.values() for column in tensor.columns]
    message = refusal(lambda: ask(model, {"rows": [{"": 1}]}))
    assert all(f"'{name}'" in message for name in known)

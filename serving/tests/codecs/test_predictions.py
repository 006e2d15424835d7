"""Predictions by name are made as text; they are what orjson writes of objects of Python."""

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kfp_edge_serving.codecs.predictions import RowPredictions
from kfp_edge_serving.models.bundle import TensorSpec

Array = np.ndarray[Any, Any]
NAMES = st.text(max_size=4) | st.sampled_from(['"', "\\", "%", "%b", ",", "],[", "ä", "\U0001f600", "\n"])


def objects(arrays: list[Array], outputs: list[TensorSpec]) -> bytes:
    """Return the predictions as objects of Python, written by orjson."""
    columns: list[list[Any]] = []
    for array, output in zip(arrays, outputs, strict=True):
        if output.has_number_of_each_class:
            columns.append([dict(zip(output.classes, row, strict=True)) for row in array])
        else:
            columns.append(list(array) if array.dtype.kind == "f" else array.tolist())
    names = [output.name for output in outputs]
    rows = [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
    return orjson.dumps(rows, option=orjson.OPT_SERIALIZE_NUMPY)


def texts(arrays: list[Array], outputs: list[TensorSpec]) -> bytes:
    return orjson.dumps(RowPredictions(outputs).encode(arrays))


def floats(dtype: Any, shape: tuple[int, ...]) -> st.SearchStrategy[Array]:
    return hnp.arrays(dtype, shape)


@given(data=st.data(), rows=st.integers(0, 4), classes=st.lists(NAMES, min_size=1, max_size=3, unique=True))
@settings(max_examples=200, deadline=None)
def test_every_kind_of_output_is_written_as_orjson_writes_it(
    data: st.DataObject, rows: int, classes: list[str]
) -> None:
    width = len(classes)
    kinds: list[tuple[str, tuple[int, ...], tuple[str, ...], st.SearchStrategy[Array]]] = [
        ("INT64", (-1,), (), hnp.arrays(np.int64, (rows,))),
        ("BOOL", (-1,), (), hnp.arrays(np.bool_, (rows,))),
        ("FP32", (-1,), (), floats(np.float32, (rows,))),
        ("FP64", (-1, 1), (), floats(np.float64, (rows, 1))),
        ("FP16", (-1, 2), (), floats(np.float16, (rows, 2))),
        ("FP32", (-1, 2, 2), (), floats(np.float32, (rows, 2, 2))),
        ("FP32", (-1, width), tuple(classes), floats(np.float32, (rows, width))),
        ("INT64", (-1, width), tuple(classes), hnp.arrays(np.int64, (rows, width))),
        ("BYTES", (-1,), (), hnp.arrays(object, (rows,), elements=NAMES)),
        ("BYTES", (-1, width), tuple(classes), hnp.arrays(object, (rows, width), elements=NAMES)),
    ]
    chosen = data.draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=3))
    names = data.draw(st.lists(NAMES, min_size=len(chosen), max_size=len(chosen), unique=True))
    outputs = [
        TensorSpec(name, datatype, shape, classes=labels, batch_dimension=0)
        for name, (datatype, shape, labels, _) in zip(names, chosen, strict=True)
    ]
    arrays = [data.draw(values) for _, _, _, values in chosen]
    assert texts(arrays, outputs) == objects(arrays, outputs)


def test_an_output_without_rows_is_not_in_them() -> None:
    outputs = [TensorSpec("label", "INT64", (-1,), batch_dimension=0), TensorSpec("weights", "FP32", (2,))]
    arrays = [np.array([1, 0]), np.array([0.5, 1], np.float32)]
    assert texts(arrays, outputs) == b'[{"label":1},{"label":0}]'


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_json_does_not_have_is_null(value: float) -> None:
    output = TensorSpec("probabilities", "FP32", (-1, 2), classes=("a", "b"), batch_dimension=0)
    assert texts([np.array([[value, 1]], np.float32)], [output]) == b'[{"probabilities":{"a":null,"b":1.0}}]'

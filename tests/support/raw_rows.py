"""Rows as a client next to the machine sends them, one after the other, to the server's own code."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from kfp_edge.ml.bundle import Bundle
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.onnx_model import OnnxModel
from kfp_edge_serving.codecs import json_codec, named_rows
from kfp_edge_serving.models.bundle import load_bundle
from kfp_edge_serving.models.model import Model, ModelOptions

Row = Mapping[str, Any]


def load_model(bundle: Bundle, **options: Any) -> Model:
    """Load a bundle in the server, without any row so far."""
    return Model(load_bundle(bundle.folder, check_name=False), ModelOptions(**options))


def ask(model: Model, *rows: Row) -> tuple[int, dict[str, Any]]:
    """Return the status and the body of the answer to rows."""
    answer = json_codec.infer(model, json.dumps({"rows": rows}).encode())
    return answer.status, json.loads(answer.body)


def list_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as JSON has them: timestamps as text, null where a value is missing."""
    columns = {
        name: values.map(lambda time: time.isoformat()) if values.dtype.kind == "M" or hasattr(values, "dt") else values
        for name, values in frame.items()
    }
    table = pd.DataFrame(columns).astype(object)
    return table.where(table.notna(), None).to_dict(orient="records")


@dataclass(frozen=True)
class Comparison:
    """How many rows were answered, and how many of the dataset's rows were among them."""

    answered: int
    compared: int


def compare_row_by_row(
    bundle: Bundle, parts: Iterable[Dataset], rows: Iterable[Row], keys: Iterable[object]
) -> Comparison:
    """Send rows one by one, and assert that features and outputs are those of the dataset, bit by bit.

    Args:
        bundle: The bundle.
        parts: The rows that it was trained and verified on.
        rows: The rows of a client, in the order of time.
        keys: For each of them its key in the dataset: group and time.
    """
    onnx = OnnxModel.load(bundle.model)
    expected = {key: row for data in parts for key, row in _list_keys(data)}
    model, observed = load_model(bundle), load_model(bundle)
    answered = compared = 0
    for row, key in zip(rows, keys, strict=True):
        status, answer = ask(model, row)
        feed = named_rows.parse_rows(observed, [dict(row)]).feed
        assert (status == 200) == bool(feed)
        answered += status == 200
        if key not in expected:
            continue
        compared += 1
        assert status == 200, answer
        wanted = onnx.to_input_feed(expected[key])
        for name, array in wanted.items():
            np.testing.assert_array_equal(feed[name], array, err_msg=str(key))
        outputs = onnx.run(wanted)
        for output in answer["outputs"]:
            array = outputs[output["name"]].reshape(-1)
            np.testing.assert_array_equal(np.array(output["data"], array.dtype), array, err_msg=str(key))
    return Comparison(answered, compared)


def _list_keys(data: Dataset) -> Iterator[tuple[object, pd.DataFrame]]:
    rows, groups = data.x(), data.groups()
    times = data.frame[data.roles.time].tolist()
    for index, time in enumerate(times):
        yield ("" if groups is None else groups[index], time), rows.iloc[[index]]

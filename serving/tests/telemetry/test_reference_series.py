"""Answered numbers are counted like features, and the reference of both is there as constant series."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kfp_edge_serving.errors import StartError
from kfp_edge_serving.models.bundle import load_bundle
from kfp_edge_serving.models.model import Model
from kfp_edge_serving.telemetry.metrics import ModelSnapshot, RequestTotals, ServerSnapshot, exposition
from serving_support.bundles import mixed_bundle, mixed_request, numeric_bundle, sign
from serving_support.echo import EDGES, echo_bundle, row
from serving_support.exposition import Exposition
from serving_support.onnx_models import ask, load
from serving_support.server_process import running

GAUGES = ServerSnapshot(is_ready=True, in_flight=0, connections=0, refused_bundles=0, overloaded=0)


def refer(folder: Path, outputs: Any = None, features: Any = None) -> Path:
    """Give a bundle another reference; return its folder."""
    document = {"rows": 4, "features": features or {}} | ({} if outputs is None else {"outputs": outputs})
    (folder / "reference.json").write_text(json.dumps(document))
    sign(folder)
    return folder


def expose(model: Model) -> Exposition:
    statistics = model.statistics
    one = ModelSnapshot(
        model.bundle,
        RequestTotals(),
        statistics.features(),
        statistics.classes(),
        outputs=statistics.outputs(),
        reference=statistics.reference,
    )
    return Exposition(exposition([one], GAUGES).decode())


def buckets(metrics: Exposition, name: str, **labels: str) -> list[float]:
    return list(metrics.values(f"kfp_edge_{name}", "le", "_bucket", **labels).values())


SCORES = {"rows": 10, "values": {"score": {"edges": [0.0, 4.0, 6.5, 8.0], "counts": [5, 3, 2], "missing": 0}}}


def test_the_scores_of_a_detector_are_counted_in_the_bins_of_held_out_rows(tmp_path: Path) -> None:
    model = load(refer(mixed_bundle(tmp_path), SCORES | {"classes": {"0": 10, "1": 0}}))
    ask(model, mixed_request())  # the scores are 6.5 and 3
    metrics = expose(model)
    assert buckets(metrics, "output_value", output="score") == [0, 1, 1, 2, 2]
    assert buckets(metrics, "output_value_reference", output="score") == [0, 5, 8, 10, 10]
    assert buckets(metrics, "output_value_bin", output="score") == [1, 2, 3, 4, 5]
    assert metrics.value("kfp_edge_output_value", "_count", output="score") == 2
    assert metrics.values("kfp_edge_output_class_reference", "class") == {"0": 10, "1": 0}
    bounds = [
        metrics.values(f"kfp_edge_{name}", "le", "_bucket").keys() for name in ("output_value", "output_value_bin")
    ]
    assert bounds[0] == bounds[1] == metrics.values("kfp_edge_output_value_reference", "le", "_bucket").keys()


@pytest.mark.parametrize("positive", ["0", "1"])
def test_of_two_classes_the_probability_of_the_positive_one_is_counted(tmp_path: Path, positive: str) -> None:
    edges = [0.0, 0.25, 0.5, 0.75, 1.0]
    values = {"probability": {"edges": edges, "counts": [1, 1, 1, 1]}}
    model = load(refer(numeric_bundle(tmp_path), {"rows": 4, "values": values, "positive": positive}))
    rows = [{"torque": torque, "speed": 1, "wear": 1} for torque in (0.1, 0.6, 0.9)]
    answer = ask(model, {"rows": rows})
    probabilities = np.array(answer["outputs"][1]["data"]).reshape(3, 2)[:, int(positive)]
    below, *inside = buckets(expose(model), "output_value", output="probability")
    assert below == 0
    assert np.diff([0, *inside[:-1]]).tolist() == np.histogram(probabilities, edges)[0].tolist()


def test_answers_that_were_not_asked_for_are_not_counted(tmp_path: Path) -> None:
    model = load(refer(mixed_bundle(tmp_path), SCORES))
    ask(model, mixed_request() | {"outputs": [{"name": "label"}]})
    metrics = expose(model)
    assert metrics.value("kfp_edge_output_value", "_count", output="score") == 0
    assert metrics.value("kfp_edge_output_class_total", class_="1") == 1


def test_an_answer_that_is_no_number_is_a_missing_one(tmp_path: Path) -> None:
    model = load(refer(mixed_bundle(tmp_path), SCORES))
    request = mixed_request()
    request["inputs"][0]["data"] = [None, 1.0]
    ask(model, request)
    metrics = expose(model)
    assert metrics.value("kfp_edge_output_value", "_count", output="score") == 1
    assert metrics.value("kfp_edge_output_missing_total", output="score") == 1


def test_the_training_rows_of_every_feature_are_exposed(tmp_path: Path) -> None:
    metrics = expose(load(echo_bundle(tmp_path)))
    for column, edges in EDGES.items():
        assert buckets(metrics, "input_feature_reference", feature=column) == [*range(len(edges)), len(edges) - 1]
        assert buckets(metrics, "input_feature_bin", feature=column) == [*range(1, len(edges) + 2)]
    assert metrics.values("kfp_edge_input_category_reference", "category", feature="kind") == {"H": 2, "L": 1}
    assert metrics.value("kfp_edge_input_missing_reference", feature="kind") == 1


def test_the_reference_does_not_change_with_requests(tmp_path: Path) -> None:
    model = load(echo_bundle(tmp_path))
    before = {name: family.samples for name, family in expose(model).families.items() if "reference" in name}
    ask(model, {"rows": [row()]})
    assert {name: expose(model).families[name].samples for name in before} == before


def test_a_bundle_of_an_earlier_version_has_neither_answers_nor_their_reference(tmp_path: Path) -> None:
    echo_bundle(tmp_path)
    with running(tmp_path) as server:
        families = Exposition(server.get("/metrics")[1]).families
    assert not any(family.samples for name, family in families.items() if name.startswith("kfp_edge_output_value"))
    assert families["kfp_edge_input_feature_reference"].samples


def test_a_server_exposes_answers_and_references(tmp_path: Path) -> None:
    refer(mixed_bundle(tmp_path), SCORES)
    with running(tmp_path) as server:
        server.infer("mill", mixed_request())
        metrics = Exposition(server.get("/metrics")[1])
    assert buckets(metrics, "output_value", output="score", model="mill", version="1") == [0, 1, 1, 2, 2]
    assert buckets(metrics, "output_value_reference", output="score") == [0, 5, 8, 10, 10]


@pytest.mark.parametrize(
    "values", [{"edges": [0.0, 1.0], "counts": []}, {"edges": [0.0], "counts": "x"}, {"edges": "x", "counts": [1]}, 7]
)
def test_a_histogram_that_is_none_is_refused(tmp_path: Path, values: Any) -> None:
    folder = refer(mixed_bundle(tmp_path), features={"count": values})
    with pytest.raises(StartError, match=r"reference\.json does not follow the bundle contract"):
        load_bundle(folder)

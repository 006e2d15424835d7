"""What Prometheus scrapes: every request, every value of every feature, in the bins of training."""

import json
import shutil
import subprocess
import sys
import threading
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kfp_edge_serving.codecs import json_codec
from kfp_edge_serving.errors import RequestError
from kfp_edge_serving.models.model import Model
from kfp_edge_serving.telemetry.metrics import ModelMetrics, ModelSnapshot, RequestTotals, ServerSnapshot, exposition
from serving_support.bundles import numeric_bundle, sign
from serving_support.echo import EDGES, KINDS, NUMBERS, echo_bundle, row
from serving_support.exposition import Exposition
from serving_support.onnx_models import ask, load, raw_request
from serving_support.server_process import Server, running
from serving_support.typed_bundles import typed_bundle, typed_request

GAUGES = ServerSnapshot(is_ready=True, in_flight=0, connections=0, refused_bundles=0, overloaded=0)
ECHO = {"model": "echo", "version": "1"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return echo_bundle(tmp_path_factory.mktemp("echo"))


@pytest.fixture
def fresh(folder: Path) -> Iterator[Server]:
    """Return a server that has answered nothing yet."""
    with running(folder.parents[1]) as server:
        yield server


def scrape(server: Server) -> Exposition:
    status, text = server.get("/metrics")
    assert status == 200
    return Exposition(text)


def exposed(model: Model) -> Exposition:
    """Return the metrics of a model in this process."""
    one = ModelSnapshot(model.bundle, RequestTotals(), model.statistics.features(), model.statistics.classes())
    return Exposition(exposition([one], GAUGES).decode())


def bins(metrics: Exposition, feature: str) -> list[float]:
    """Return how many values lie below, in each bin, and above; the exposition has running totals."""
    running_totals = list(metrics.values("kfp_edge_input_feature", "le", "_bucket", feature=feature).values())
    return np.diff([0, *running_totals]).tolist()


def expected_bins(values: list[Any], edges: list[float], dtype: Any) -> list[int]:
    """Return what numpy counts, training's way, for values and edges in the model's datatype."""
    array, ends = np.array(values, dtype), np.array(edges, dtype)
    inside, _ = np.histogram(array, ends)
    return [int((array < ends[0]).sum()), *inside.tolist(), int((array > ends[-1]).sum())]


def check_bounds(metrics: Exposition, feature: str, values: Any) -> None:
    """Check that each bucket of a feature counts the values that are at most its `le`."""
    buckets = metrics.values("kfp_edge_input_feature", "le", "_bucket", feature=feature)
    assert len(buckets) == len(EDGES[feature]) + 1
    assert buckets == {bound: (values <= float(bound)).sum() for bound in buckets}


def numbers(column: str) -> st.SearchStrategy[float]:
    edges = np.array(EDGES[column], np.float32)
    ties = [*edges, *np.nextafter(edges, np.float32(np.inf)), *np.nextafter(edges, np.float32(-np.inf))]
    near = st.floats(float(edges[0]) - 1, float(edges[-1]) + 1)
    return st.sampled_from([*EDGES[column], *map(float, ties)]) | near


@pytest.mark.parametrize("column", list(NUMBERS))
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_numbers_are_counted_as_numpy_counts_them_in_the_bins_of_training(
    folder: Path, column: str, data: st.DataObject
) -> None:
    model = load(folder)
    values = data.draw(st.lists(st.none() | numbers(column), min_size=1, max_size=20))
    cut = data.draw(st.integers(0, len(values)))
    for part in (values[:cut], values[cut:]):
        if part:
            ask(model, {"rows": [row() | {column: value} for value in part], "outputs": [{"name": "label"}]})
    present = [value for value in values if value is not None]
    metrics = exposed(model)
    assert bins(metrics, column) == expected_bins(present, EDGES[column], np.float32)
    check_bounds(metrics, column, np.array(present, np.float32))
    assert metrics.value("kfp_edge_input_feature", "_count", feature=column) == len(present)
    assert metrics.value("kfp_edge_input_missing_total", feature=column) == len(values) - len(present)
    low, high = np.array(NUMBERS[column], np.float32)
    outside = [value for value in np.array(present, np.float32) if not low <= value <= high]
    assert metrics.value("kfp_edge_input_out_of_range_total", feature=column) == len(outside)


@given(values=st.lists(st.integers(-10, 10) | st.sampled_from([-(2**63), 2**63 - 1]), min_size=1, max_size=20))
@settings(max_examples=60, deadline=None)
def test_integers_are_counted_likewise(folder: Path, values: list[int]) -> None:
    model = load(folder)
    ask(model, {"rows": [row(count=value) for value in values]})
    assert bins(exposed(model), "count") == expected_bins(values, EDGES["count"], np.float64)
    check_bounds(exposed(model), "count", np.array(values))


def test_flags_are_counted_as_0_and_1(folder: Path) -> None:
    model = load(folder)
    ask(model, {"rows": [row(on=value) for value in (True, False, True)]})
    metrics = exposed(model)
    assert bins(metrics, "on") == [0, 3, 0]
    check_bounds(metrics, "on", np.array([1, 0, 1]))


def test_the_values_of_a_feature_have_no_sum_because_a_counter_never_falls(folder: Path) -> None:
    suffixes = {suffix for suffix, _ in exposed(load(folder)).families["kfp_edge_input_feature"].samples}
    assert suffixes == {"_bucket", "_count"}


def test_values_out_of_range_that_are_not_counted_are_not_exposed_as_none(folder: Path) -> None:
    samples = {
        policy: exposed(load(folder, out_of_range=policy)).families["kfp_edge_input_out_of_range_total"].samples
        for policy in ("off", "count")
    }
    assert not samples["off"]
    assert samples["count"]


def test_every_category_and_class_is_exposed_from_the_start(folder: Path) -> None:
    metrics = exposed(load(folder))
    assert metrics.values("kfp_edge_input_category_total", "category", feature="kind") == {"H": 0, "L": 0}
    assert metrics.values("kfp_edge_output_class_total", "class") == {"H": 0, "L": 0, "M": 0}


@given(kinds=st.lists(st.none() | st.sampled_from(KINDS), min_size=1, max_size=20))
@settings(max_examples=30, deadline=None)
def test_categories_are_counted_and_the_empty_one_is_a_missing_one(folder: Path, kinds: list[str | None]) -> None:
    model = load(folder)
    ask(model, {"rows": [row(kind=kind) for kind in kinds]})
    metrics = exposed(model)
    counts = Counter(kinds)
    wanted = {"H": counts["H"], "L": counts["L"]}
    assert metrics.values("kfp_edge_input_category_total", "category", feature="kind") == wanted
    assert metrics.value("kfp_edge_input_missing_total", feature="kind") == counts[None] + counts[""]
    classes = metrics.values("kfp_edge_output_class_total", "class")
    assert classes == wanted | {"M": 0} | ({"": counts[None] + counts[""]} if counts[None] + counts[""] else {})


def test_unknown_categories_are_counted_though_their_request_is_refused(fresh: Server) -> None:
    """A new product or material is what a model is to be retrained for, and nothing else counts it."""
    name = "kfp_edge_input_unknown_category_total"
    assert scrape(fresh).values(name, "feature") == {"kind": 0}
    assert fresh.infer("echo", {"rows": [row(kind="H"), row(kind="new"), row(kind="newer")]})[0] == 400
    metrics = scrape(fresh)
    assert metrics.values(name, "feature") == {"kind": 2}
    assert metrics.values("kfp_edge_input_category_total", "category", feature="kind") == {"H": 0, "L": 0}


def test_a_refused_request_is_not_counted_among_the_values(folder: Path) -> None:
    model = load(folder)
    with pytest.raises(RequestError):
        ask(model, {"rows": [row(), row(kind="M")]})
    assert bins(exposed(model), "speed") == [0, 0, 0, 0, 0, 0]


def test_a_server_exposes_all_of_it(fresh: Server) -> None:
    begun = time.time()
    rows = [row(), row(speed=None, kind="L"), row(wear=251)]
    assert fresh.infer("echo", {"rows": rows, "outputs": [{"name": "label"}]})[0] == 200
    assert fresh.infer("echo", {"rows": [row(speed="x")]})[0] == 400
    assert fresh.infer("fan", {})[0] == 404
    metrics = scrape(fresh)
    assert metrics.value("kfp_edge_ready") == 1
    assert metrics.value("kfp_edge_requests_in_flight") == 0
    assert metrics.value("kfp_edge_model_info", **ECHO) == 1
    assert metrics.counted("kfp_edge_requests_total", "code", protocol="rest", **ECHO) == {"200": 1, "400": 1}
    assert metrics.value("kfp_edge_request_errors_total", **ECHO) == 1
    assert metrics.value("kfp_edge_request_duration_seconds", "_count", **ECHO) == 2
    assert begun <= metrics.value("kfp_edge_last_inference_timestamp_seconds", **ECHO) <= time.time()
    assert bins(metrics, "speed") == [0, 0, 0, 2, 0, 0]
    assert metrics.value("kfp_edge_input_missing_total", feature="speed") == 1
    assert metrics.value("kfp_edge_input_out_of_range_total", feature="wear") == 1
    assert metrics.value("kfp_edge_output_class_total", class_="H") == 2
    assert metrics.value("kfp_edge_output_class_total", class_="L") == 1


def test_the_self_test_at_start_is_not_counted(fresh: Server) -> None:
    metrics = scrape(fresh)
    assert metrics.value("kfp_edge_requests_total", code="200", **ECHO) == 0
    assert metrics.value("kfp_edge_input_feature", "_count", feature="speed") == 0
    assert metrics.value("kfp_edge_last_inference_timestamp_seconds", **ECHO) == 0


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs Debian's package prometheus")
def test_promtool_accepts_the_metrics(fresh: Server) -> None:
    fresh.infer("echo", {"rows": [row()]})
    text = fresh.get("/metrics")[1]
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


NASTY = ['"', "\\", "\n", '\\"\n\\n{}=,', "Temperatur [°C]", "\\n"]


@pytest.mark.parametrize("name", NASTY)
def test_names_with_quotes_backslashes_and_newlines_come_back_as_they_are(tmp_path: Path, name: str) -> None:
    folder = echo_bundle(tmp_path)
    signature = json.loads((folder / "signature.json").read_bytes())
    signature["inputs"][0]["columns"][1]["name"] = name
    signature["inputs"][2]["columns"][0]["categories"].append(name)
    signature["outputs"][4]["classes"].append(name)
    (folder / "signature.json").write_text(json.dumps(signature))
    sign(folder)
    model = load(folder)
    values = row(kind=name)
    values[name] = values.pop("speed")
    ask(model, {"rows": [values]})
    metrics = exposed(model)
    assert metrics.value("kfp_edge_input_feature", "_count", feature=name) == 1
    assert metrics.value("kfp_edge_input_category_total", category=name) == 1
    assert metrics.value("kfp_edge_output_class_total", class_=name) == 1


def test_the_resource_attributes_come_from_the_variables_of_opentelemetry(folder: Path) -> None:
    attributes = "service.name=other,site=Werk%20S%C3%BCd,ring=canary,7th.floor=1,empty=,=x,  k8s.pod-name = a-b "
    variables = {
        "OTEL_SERVICE_NAME": 'press "7"',
        "OTEL_RESOURCE_ATTRIBUTES": attributes,
        "KFP_EDGE_IMAGE_DIGEST": "sha256:abc",
    }
    with running(folder.parents[1], **variables) as server:
        families = scrape(server).families
    (labels,) = [dict(labels) for _, labels in families["target_info"].samples]
    assert {dict(labels)["image_digest"] for _, labels in families["kfp_edge_model_info"].samples} == {"sha256:abc"}
    version = labels.pop("service_version")
    assert version
    assert labels == {
        "service_name": 'press "7"',
        "site": "Werk Süd",
        "ring": "canary",
        "_7th_floor": "1",
        "k8s_pod_name": "a-b",
        "container_image_digest": "sha256:abc",
    }


@pytest.fixture
def hasty() -> Iterator[None]:
    """Let threads interrupt one another as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty")
def test_requests_from_many_threads_are_all_counted(folder: Path) -> None:
    model, request_metrics = load(folder), ModelMetrics()
    rows = [row(speed=-60), row(speed=-1), row(speed=None, kind="L"), row(wear=251)]
    each, threads = 500, 8

    def work(number: int) -> None:
        for turn in range(each):
            ask(model, {"rows": [rows[(number + turn) % len(rows)]], "outputs": [{"name": "label"}]})
            request_metrics.count("grpc" if turn % 2 else "rest", 200 if turn % 5 else 400, 0.001 * (turn % 3))
            model.statistics.classes()
            if turn % 50 == 0:
                Exposition(
                    exposition(
                        [ModelSnapshot(model.bundle, request_metrics.totals(), model.statistics.features(), {})], GAUGES
                    ).decode()
                )

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    metrics = exposed(model)
    quarter = each * threads / len(rows)
    assert bins(metrics, "speed") == [quarter, 0, quarter, quarter, 0, 0]
    assert metrics.value("kfp_edge_input_missing_total", feature="speed") == quarter
    assert metrics.values("kfp_edge_input_category_total", "category") == {"H": 3 * quarter, "L": quarter}
    assert metrics.value("kfp_edge_input_out_of_range_total", feature="wear") == quarter
    assert sum(metrics.values("kfp_edge_output_class_total", "class").values()) == 4 * quarter
    counted = request_metrics.totals()
    assert sum(counted.statuses.values()) == sum(counted.buckets) == each * threads
    assert counted.statuses["rest", 400] == threads * len([turn for turn in range(0, each, 2) if turn % 5 == 0])


def growth(work: Callable[[], object], times: int) -> int:
    """Return by how many bytes the memory of this process grew while something was done some times."""
    work()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(times):
            work()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return after - before


def test_values_that_wait_to_be_counted_do_not_keep_their_requests_in_memory(tmp_path: Path) -> None:
    model = load(numeric_bundle(tmp_path))
    body, json_bytes = raw_request({"X": ("FP32", np.ones((1, 3), np.float32))})
    padding = 1 << 20

    def work() -> None:
        json_codec.infer(model, body[:json_bytes] + b" " * padding + body[json_bytes:], json_bytes + padding)

    assert growth(work, 50) < padding


def test_texts_without_categories_are_not_kept(tmp_path: Path) -> None:
    model = load(typed_bundle(tmp_path))
    assert growth(lambda: ask(model, typed_request({"BYTES": np.array([["x" * 100_000]], object)})), 50) < 1_000_000


def test_large_batches_are_counted_at_once(tmp_path: Path) -> None:
    model = load(numeric_bundle(tmp_path))
    body, json_bytes = raw_request({"X": ("FP32", np.ones((10_000, 3), np.float32))}, outputs=[{"name": "label"}])
    assert growth(lambda: json_codec.infer(model, body, json_bytes), 50) < 2_000_000
    assert exposed(model).value("kfp_edge_input_feature", "_count", feature="torque") == 510_000

"""Counters are there with 0 before anything is counted, or Prometheus would not see the first event of each."""

from pathlib import Path

import numpy as np
import pytest

from kfp_edge_serving.errors import _REASONS, NOT_READY, TOO_MANY_BYTES, TOO_MANY_CONNECTIONS
from kfp_edge_serving.models.bundle import LoadedBundle, TensorSpec
from kfp_edge_serving.models.model import Model
from kfp_edge_serving.telemetry.feature_statistics import FeatureStatistics
from kfp_edge_serving.telemetry.known_labels import GRPC, REST, list_reasons, list_statuses
from kfp_edge_serving.telemetry.metrics import ModelSnapshot, RequestTotals, ServerSnapshot, exposition
from serving_support.bundles import mixed_bundle, numeric_bundle
from serving_support.exposition import Exposition
from serving_support.onnx_models import load
from serving_support.server_process import Server, running
from serving_support.windowed_bundle import windowed_bundle

EVERY_MODEL = {REST: {"200", "400", "413", "415", "500", "503"}, GRPC: {"200", "400", "413", "500", "503"}}
REST_REASONS = {
    "malformed",
    "not_found",
    "method_not_allowed",
    "timeout",
    "body_too_large",
    "head_too_large",
    "not_supported",
    "overloaded",
    NOT_READY,
    TOO_MANY_CONNECTIONS,
    TOO_MANY_BYTES,
}
GRPC_REASONS = {"malformed", "not_found", "not_supported", "timeout", "overloaded"}


def scrape(server: Server) -> Exposition:
    status, text = server.get("/metrics")
    assert status == 200
    return Exposition(text)


def labels(metrics: Exposition, family: str, label: str) -> dict[str, set[str]]:
    """Return the values of a label by protocol, all of whose counters are 0."""
    samples = {frozenset(own): value for (_, own), value in metrics.families[family].samples.items()}
    assert set(samples.values()) == {0}
    protocols = {dict(own)["protocol"] for own in samples}
    return {each: {dict(own)[label] for own in samples if ("protocol", each) in own} for each in protocols}


def test_a_server_without_grpc_has_no_counters_of_it(tmp_path: Path) -> None:
    numeric_bundle(tmp_path)
    with running(tmp_path, "--grpc-port", "off") as server:
        metrics = scrape(server)
    assert labels(metrics, "kfp_edge_requests_total", "code") == {REST: EVERY_MODEL[REST]}
    assert labels(metrics, "kfp_edge_refused_requests_total", "reason") == {REST: REST_REASONS}


def test_a_server_with_grpc_has_counters_of_both_protocols(tmp_path: Path) -> None:
    numeric_bundle(tmp_path)
    with running(tmp_path, "--grpc-port", "0") as server:
        metrics = scrape(server)
    assert labels(metrics, "kfp_edge_requests_total", "code") == EVERY_MODEL
    reasons = labels(metrics, "kfp_edge_refused_requests_total", "reason")
    assert reasons == {REST: REST_REASONS, GRPC: GRPC_REASONS}


def test_requests_can_be_unauthorized_only_where_access_is_needed() -> None:
    protected = set(list_reasons((REST,), (REST, GRPC))) - set(list_reasons((), (REST, GRPC)))
    assert protected == {(REST, "unauthorized")}


def test_reasons_are_those_of_the_errors() -> None:
    known = {reason for _, reason in list_reasons((REST, GRPC), (REST, GRPC))}
    # a model answers 415, since only its handler decompresses
    assert known == {*_REASONS.values(), NOT_READY, TOO_MANY_CONNECTIONS, TOO_MANY_BYTES} - {"content_encoding"}


def test_only_models_with_rolling_windows_answer_some_rows_or_late_ones(tmp_path: Path) -> None:
    windowed, other = load(windowed_bundle(tmp_path)), load(numeric_bundle(tmp_path))
    extra = {*list_statuses(windowed.bundle, (REST, GRPC))} - {*list_statuses(other.bundle, (REST, GRPC))}
    assert extra == {(REST, 202), (REST, 409), (GRPC, 409)}


def classes(model: Model) -> dict[str, float]:
    one = ModelSnapshot(model.bundle, RequestTotals(), model.statistics.features(), model.statistics.classes())
    gauges = ServerSnapshot(is_ready=True, in_flight=0, connections=0, refused_bundles=0, overloaded=0)
    return Exposition(exposition([one], gauges).decode()).values("kfp_edge_output_class_total", "class")


def test_the_alarms_of_a_detector_are_counted_from_0(tmp_path: Path) -> None:
    assert classes(load(mixed_bundle(tmp_path))) == {"0": 0, "1": 0}


@pytest.mark.parametrize("count", [100, 150])
def test_a_model_without_known_classes_has_a_limited_number_of_series(count: int) -> None:
    label = TensorSpec("label", "INT64", (-1,), batch_dimension=0)
    bundle = LoadedBundle("m", "1", "", b"", (), (label,), (), 0.0, is_verified=False)
    statistics = FeatureStatistics(bundle)
    statistics.add(count, {}, ["label"], [np.arange(count)])
    counted = statistics.classes()
    assert sum(counted.values()) == count
    assert counted.get("(other)", 0) == count - 100

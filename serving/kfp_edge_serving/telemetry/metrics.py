"""The metrics that Prometheus scrapes ("Exposition formats", text format 0.0.4).

A new metric of a model is an entry of `_FAMILIES`, a new one of the server an entry in `_server_lines`.
"""

import os
import re
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress, pairwise
from threading import Lock
from urllib.parse import unquote

from kfp_edge_serving import __version__
from kfp_edge_serving.features.window_features import WindowFeatures
from kfp_edge_serving.models.bundle import LoadedBundle
from kfp_edge_serving.telemetry.known_labels import REST, list_statuses
from kfp_edge_serving.telemetry.reference_series import REFERENCE_FAMILIES
from kfp_edge_serving.telemetry.series import format_labels
from kfp_edge_serving.telemetry.value_counts import CategoryCounts, FeatureCounts, NumberCounts, OutputCounts

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"

#: Upper bounds of the latency histogram, in seconds.
BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

#: Requests are counted so many at a time, which costs less than one by one.
_BATCH_SIZE = 256


@dataclass
class RequestTotals:
    """Answered requests by protocol and status and by duration, their seconds in all, and when the last succeeded.

    `failed_seconds` are those of the requests that were answered with an error, and `waited_seconds` those for which
    the others waited until their turn.
    """

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    seconds: float = 0.0
    failed_seconds: float = 0.0
    waited_seconds: float = 0.0
    last_success: float = 0.0


#: Protocol, status, duration, waiting time and when it was answered, in seconds.
_Counted = tuple[str, int, float, float, float]


class ModelMetrics:
    """The request counters of one model version; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._totals = RequestTotals()
        self._uncounted: list[_Counted] = []

    def count(self, protocol: str, status: int, seconds: float, waited: float = 0.0) -> None:
        """Count one answered request.

        Args:
            protocol: `rest` or `grpc`.
            status: The HTTP status code; over gRPC the one that corresponds.
            seconds: The duration.
            waited: The part of it for which the request waited for its turn, in seconds.
        """
        now = time.time()
        self._uncounted.append((protocol, status, seconds, waited, now))  # atomic
        if len(self._uncounted) >= _BATCH_SIZE:
            self.totals()

    def count_all(self, protocol: str, status: int, times: list[tuple[float, float]]) -> None:
        """Count answered requests of the same protocol and status; `times` are those that `count` takes, of each."""
        now = time.time()
        self._uncounted.extend([(protocol, status, seconds, waited, now) for seconds, waited in times])  # atomic
        if len(self._uncounted) >= _BATCH_SIZE:
            self.totals()

    def totals(self) -> RequestTotals:
        """Return the totals so far."""
        with self._lock:
            uncounted = self._uncounted[:]
            del self._uncounted[: len(uncounted)]
            totals = self._totals
            if uncounted:
                _count(totals, uncounted)
            return replace(totals, statuses=totals.statuses.copy(), buckets=totals.buckets[:])


def _count(totals: RequestTotals, requests: list[_Counted]) -> None:
    """Count requests column by column, which takes a fraction of the time that each by itself would take."""
    protocols, statuses, seconds, waited, times = zip(*requests, strict=True)
    totals.statuses.update(zip(protocols, statuses, strict=True))
    ordered = sorted(seconds)
    ends = [0, *(bisect_right(ordered, bound) for bound in BUCKETS), len(ordered)]
    new = [end - start for start, end in pairwise(ends)]
    totals.buckets = [before + more for before, more in zip(totals.buckets, new, strict=True)]
    totals.seconds += sum(seconds)
    if max(statuses) >= 400:
        totals.failed_seconds += sum(compress(seconds, (status >= 400 for status in statuses)))
        answered = [status < 400 for status in statuses]
        waited, times = tuple(compress(waited, answered)), tuple(compress(times, answered))
    totals.waited_seconds += sum(waited)
    totals.last_success = times[-1] if times else totals.last_success


@dataclass(frozen=True)
class ModelSnapshot:
    """The metrics of one model version at one moment; `classes` counts the predictions of each class.

    `outputs` counts the answered numbers, and `reference` has the lines that never change by the names of their
    metrics.
    `windows` computes features from the rows before, None if the model has no such features. `protocols` are those
    that the server answers.
    """

    bundle: LoadedBundle
    requests: RequestTotals
    features: Sequence[FeatureCounts | CategoryCounts]
    classes: dict[str, int]
    windows: WindowFeatures | None = None
    protocols: Sequence[str] = (REST,)
    outputs: Sequence[OutputCounts] = ()
    reference: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class ServerSnapshot:
    """The metrics of the server as a whole at one moment."""

    is_ready: bool
    in_flight: int
    connections: int
    refused_bundles: int
    overloaded: int
    #: Requests refused before a model computed anything, by protocol and reason.
    refused: Mapping[tuple[str, str], int] = field(default_factory=dict)


def exposition(models: Sequence[ModelSnapshot], server: ServerSnapshot) -> bytes:
    """Return all metrics in the text format of Prometheus."""
    lines = list(_server_lines(server))
    for name, kind, text, samples in _FAMILIES:
        lines += _family_lines(name, kind, text, models, samples)
    for name, text, histograms in _VALUE_FAMILIES:
        lines += _head_lines(f"kfp_edge_{name}", "histogram", text)
        lines += (line for model in models for counts in histograms(model) for line in counts.lines())
    for name, kind, text in REFERENCE_FAMILIES:
        lines += _head_lines(f"kfp_edge_{name}", kind, text)
        lines += (line for model in models for line in model.reference.get(name, ()))
    return ("\n".join(lines) + "\n").encode()


#: Suffix of the name, further labels, value.
_Sample = tuple[str, dict[str, str], float]
_Samples = Callable[[ModelSnapshot], Iterator[_Sample]]


def _resource_labels() -> dict[str, str]:
    """Return the resource attributes ("OpenTelemetry SDK Environment Variables"), under names that labels may have."""
    resource = {"service.name": "kfp-edge-serving", "service.version": __version__}
    for pair in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","):
        key, _, text = pair.partition("=")
        if key.strip() and text.strip():
            resource[key.strip()] = unquote(text.strip())
    if name := os.environ.get("OTEL_SERVICE_NAME"):
        resource["service.name"] = name
    if digest := _image_digest():
        resource["container.image.digest"] = digest
    return {re.sub(r"^(?=[0-9])|[^A-Za-z0-9_]", "_", key): text for key, text in resource.items()}


def _image_digest() -> str:
    return os.environ.get("KFP_EDGE_IMAGE_DIGEST", "")


def _server_lines(server: ServerSnapshot) -> Iterator[str]:
    yield from _head_lines("target_info", "gauge", "Resource attributes of this server.")
    yield f"target_info{format_labels(_resource_labels())} 1"
    for name, kind, text, value in (
        ("kfp_edge_ready", "gauge", "1 while the server takes requests.", server.is_ready),
        ("kfp_edge_requests_in_flight", "gauge", "Requests being received or answered.", server.in_flight),
        ("kfp_edge_connections", "gauge", "Open REST connections.", server.connections),
        ("kfp_edge_refused_bundles", "gauge", "Bundles in the folder that are not served.", server.refused_bundles),
        ("kfp_edge_overloaded_total", "counter", "Requests refused because of overload.", server.overloaded),
    ):  # fmt: skip
        yield from _head_lines(name, kind, text)
        yield f"{name} {int(value)}"
    name = "kfp_edge_refused_requests_total"
    yield from _head_lines(name, "counter", "Requests refused before a model computed anything, by reason.")
    for (protocol, reason), count in sorted(server.refused.items()):
        yield f"{name}{format_labels({'protocol': protocol, 'reason': reason})} {count}"


def _family_lines(name: str, kind: str, text: str, models: Sequence[ModelSnapshot], samples: _Samples) -> Iterator[str]:
    full_name = f"kfp_edge_{name}"
    yield from _head_lines(full_name, kind, text)
    for model in models:
        model_labels = {"model": model.bundle.name, "version": model.bundle.version}
        for suffix, labels, value in samples(model):
            yield f"{full_name}{suffix}{format_labels(model_labels | labels)} {value}"


def _head_lines(name: str, kind: str, text: str) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"


def _info(model: ModelSnapshot) -> Iterator[_Sample]:
    bundle = model.bundle
    labels = {bundle.digest_field: bundle.digest, "verified": str(bundle.is_verified).lower()}
    # also here, since a join with target_info needs labels that are unique over all sites
    digest = _image_digest()
    yield "", labels | ({"image_digest": digest} if digest else {}), 1


def _requests(model: ModelSnapshot) -> Iterator[_Sample]:
    known = dict.fromkeys(list_statuses(model.bundle, model.protocols), 0)
    for (protocol, status), count in sorted((known | model.requests.statuses).items()):
        yield "", {"protocol": protocol, "code": str(status)}, count


def _errors(model: ModelSnapshot) -> Iterator[_Sample]:
    yield "", {}, sum(count for (_, status), count in model.requests.statuses.items() if status >= 400)


def _last(model: ModelSnapshot) -> Iterator[_Sample]:
    yield "", {}, model.requests.last_success


def _durations(model: ModelSnapshot) -> Iterator[_Sample]:
    cumulative = 0
    for bound, count in zip((*map(str, BUCKETS), "+Inf"), model.requests.buckets, strict=True):
        cumulative += count
        yield "_bucket", {"le": bound}, cumulative
    yield "_sum", {}, model.requests.seconds
    yield "_count", {}, cumulative


def _classes(model: ModelSnapshot) -> Iterator[_Sample]:
    for name, count in model.classes.items():
        yield "", {"class": name}, count


def _categories(model: ModelSnapshot) -> Iterator[_Sample]:
    for feature in model.features:
        if isinstance(feature, CategoryCounts):
            for name, count in feature.categories.items():
                yield "", {"feature": feature.column.name, "category": name}, count


def _unknown_categories(model: ModelSnapshot) -> Iterator[_Sample]:
    for feature in model.features:
        if isinstance(feature, CategoryCounts):
            yield "", {"feature": feature.column.name}, feature.unknown


def _numeric(features: Iterable[FeatureCounts | CategoryCounts]) -> Iterator[FeatureCounts]:
    return (feature for feature in features if isinstance(feature, FeatureCounts))


def _missing(model: ModelSnapshot) -> Iterator[_Sample]:
    for feature in model.features:
        yield "", {"feature": feature.column.name}, feature.missing


def _missing_answers(model: ModelSnapshot) -> Iterator[_Sample]:
    for output in model.outputs:
        yield "", {"output": output.name}, output.missing


def _out_of_range(model: ModelSnapshot) -> Iterator[_Sample]:
    for feature in _numeric(model.features):
        if feature.range is not None:
            yield "", {"feature": feature.column.name}, feature.out_of_range


def _window_rows(model: ModelSnapshot) -> Iterator[_Sample]:
    if model.windows is not None:
        for status, count in model.windows.count_rows().items():
            yield "", {"status": status}, count


def _window_groups(model: ModelSnapshot) -> Iterator[_Sample]:
    if model.windows is not None:
        groups = model.windows.count_groups()
        yield "", {"state": "full"}, groups.full
        yield "", {"state": "warming_up"}, groups.warming_up


def _evicted_groups(model: ModelSnapshot) -> Iterator[_Sample]:
    if model.windows is not None:
        yield "", {}, model.windows.count_groups().evicted


_FAMILIES: tuple[tuple[str, str, str, _Samples], ...] = (
    ("model_info", "gauge", "1 for each loaded model.", _info),
    ("requests_total", "counter", "Answered inference requests by protocol and HTTP status.", _requests),
    ("request_errors_total", "counter", "Inference requests answered with an error.", _errors),
    ("request_duration_seconds", "histogram", "Time to answer, body received.", _durations),
    ("last_inference_timestamp_seconds", "gauge", "Time of the last answer.", _last),
    ("output_class_total", "counter", "Rows answered with each class.", _classes),
    ("input_category_total", "counter", "Values of a categorical feature.", _categories),
    (
        "input_unknown_category_total",
        "counter",
        "Values that are no category, of refused requests.",
        _unknown_categories,
    ),
    ("input_missing_total", "counter", "Missing values of a feature.", _missing),
    ("input_out_of_range_total", "counter", "Values outside of the range of training.", _out_of_range),
    ("output_missing_total", "counter", "Answers without a number (NaN).", _missing_answers),
    ("window_rows_total", "counter", "Rows for rolling windows by what became of them.", _window_rows),
    ("window_groups", "gauge", "Groups whose rolling windows are full, and others.", _window_groups),
    ("window_groups_evicted_total", "counter", "Groups whose rows were forgotten.", _evicted_groups),
)

#: Histograms whose labels were formatted before.
_VALUE_FAMILIES: tuple[tuple[str, str, Callable[[ModelSnapshot], Iterable[NumberCounts]]], ...] = (
    ("input_feature", "Values of a feature, in the bins of training.", lambda model: _numeric(model.features)),
    ("output_value", "Answered numbers, in the bins of their deciles for held-out rows.", lambda model: model.outputs),
)

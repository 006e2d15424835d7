"""What Prometheus scrapes, counted by hand ("Exposition formats", text format 0.0.4)."""

import os
import re
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock
from urllib.parse import unquote

from kfp_edge_serving import __version__
from kfp_edge_serving.models.bundle import LoadedBundle
from kfp_edge_serving.telemetry.feature_statistics import Feature

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"

#: Upper bounds of the latency histogram, in seconds.
BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


#: Requests that wait to be counted, which then costs less than each by itself.
_WAITING = 256


@dataclass
class Requests:
    """How many requests were answered, by protocol and status and by duration; in seconds, and when the last was."""

    codes: Counter[tuple[str, int]] = field(default_factory=lambda: Counter({("rest", 200): 0}))
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    seconds: float = 0.0
    last: float = 0.0


class ModelMetrics:
    """The counters of one model version; safe to count from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counted = Requests()
        self._waiting: list[tuple[str, int, float, float]] = []

    def answered(self, protocol: str, code: int, seconds: float) -> None:
        """Count one answered request: over `rest` or `grpc`, with its HTTP status or what would be it."""
        self._waiting.append((protocol, code, seconds, time.time()))  # in one step, whatever other threads do
        if len(self._waiting) >= _WAITING:
            self.requests()

    def requests(self) -> Requests:
        """Return the counts so far."""
        with self._lock:
            waiting = self._waiting[:]
            del self._waiting[: len(waiting)]
            counted = self._counted
            for protocol, code, seconds, now in waiting:
                counted.codes[protocol, code] += 1
                counted.buckets[bisect_left(BUCKETS, seconds)] += 1
                counted.seconds += seconds
                if code == 200:
                    counted.last = now
            return replace(counted, codes=counted.codes.copy(), buckets=counted.buckets[:])


@dataclass(frozen=True)
class ModelSnapshot:
    """What is known of one model version; `classes` says how often each was answered."""

    bundle: LoadedBundle
    requests: Requests
    features: list[Feature]
    classes: dict[str, int]


@dataclass(frozen=True)
class ServerSnapshot:
    """What is known of the server as a whole."""

    ready: bool
    in_flight: int
    connections: int
    refused_bundles: int
    overloaded: int


def exposition(rows: Sequence[ModelSnapshot], gauges: ServerSnapshot) -> bytes:
    """Return all metrics as Prometheus reads them."""
    lines = list(_server(gauges))
    for name, kind, text, samples in _FAMILIES:
        lines += _family(name, kind, text, rows, samples)
    return ("\n".join(lines) + "\n").encode()


#: Suffix of the name, further labels, value.
_Sample = tuple[str, dict[str, str], float]
_Samples = Callable[[ModelSnapshot], Iterator[_Sample]]


def _resource() -> dict[str, str]:
    """Return who this server is ("OpenTelemetry SDK Environment Variables"), named as Prometheus names labels."""
    resource = {"service.name": "kfp-edge-serving", "service.version": __version__}
    for pair in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","):
        key, _, text = pair.partition("=")
        if key.strip() and text.strip():
            resource[key.strip()] = unquote(text.strip())
    if name := os.environ.get("OTEL_SERVICE_NAME"):
        resource["service.name"] = name
    if digest := os.environ.get("KFP_EDGE_IMAGE_DIGEST"):
        resource["container.image.digest"] = digest
    return {re.sub(r"^(?=[0-9])|[^A-Za-z0-9_]", "_", key): text for key, text in resource.items()}


def _server(gauges: ServerSnapshot) -> Iterator[str]:
    yield from _head("target_info", "gauge", "Resource attributes of this server.")
    yield f"target_info{_labelled(_resource())} 1"
    for name, kind, told, value in (
        ("kfp_edge_ready", "gauge", "1 while the server takes requests.", gauges.ready),
        ("kfp_edge_requests_in_flight", "gauge", "Requests being received or answered.", gauges.in_flight),
        ("kfp_edge_connections", "gauge", "Open REST connections.", gauges.connections),
        ("kfp_edge_refused_bundles", "gauge", "Bundles in the folder that are not served.", gauges.refused_bundles),
        ("kfp_edge_overloaded_total", "counter", "Requests that would have waited too long.", gauges.overloaded),
    ):  # fmt: skip
        yield from _head(name, kind, told)
        yield f"{name} {int(value)}"


def _family(name: str, kind: str, text: str, rows: Sequence[ModelSnapshot], samples: _Samples) -> Iterator[str]:
    full = f"kfp_edge_{name}"
    yield from _head(full, kind, text)
    for row in rows:
        model = {"model": row.bundle.name, "version": row.bundle.version}
        for suffix, labels, value in samples(row):
            yield f"{full}{suffix}{_labelled(model | labels)} {value}"


def _head(name: str, kind: str, text: str) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"


def _labelled(labels: dict[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _info(row: ModelSnapshot) -> Iterator[_Sample]:
    yield "", {"bundle_sha256": row.bundle.digest}, 1


def _requests(row: ModelSnapshot) -> Iterator[_Sample]:
    for (protocol, code), count in sorted(row.requests.codes.items()):
        yield "", {"protocol": protocol, "code": str(code)}, count


def _errors(row: ModelSnapshot) -> Iterator[_Sample]:
    yield "", {}, sum(count for (_, code), count in sorted(row.requests.codes.items()) if code != 200)


def _last(row: ModelSnapshot) -> Iterator[_Sample]:
    yield "", {}, row.requests.last


def _durations(row: ModelSnapshot) -> Iterator[_Sample]:
    yield from _histogram(BUCKETS, row.requests.buckets, row.requests.seconds, {})


def _classes(row: ModelSnapshot) -> Iterator[_Sample]:
    for name, count in row.classes.items():
        yield "", {"class": name}, count


def _values(row: ModelSnapshot) -> Iterator[_Sample]:
    for feature in row.features:
        if feature.column.categories is None:
            labels = {"feature": feature.column.name}
            yield from _histogram(feature.column.edges, feature.counts.tolist(), feature.total, labels)


def _categories(row: ModelSnapshot) -> Iterator[_Sample]:
    for feature in row.features:
        for name, count in feature.categories.items():
            yield "", {"feature": feature.column.name, "category": name}, count


def _missing(row: ModelSnapshot) -> Iterator[_Sample]:
    for feature in row.features:
        yield "", {"feature": feature.column.name}, feature.missing


def _out_of_range(row: ModelSnapshot) -> Iterator[_Sample]:
    for feature in row.features:
        if feature.column.range is not None:
            yield "", {"feature": feature.column.name}, feature.out_of_range


def _histogram(bounds: Sequence[float], counts: list[int], total: float, labels: dict[str, str]) -> Iterator[_Sample]:
    """Yield a histogram whose last count is of what lies above the last bound."""
    running = 0
    for bound, count in zip((*map(str, bounds), "+Inf"), counts, strict=True):
        running += count
        yield "_bucket", {**labels, "le": bound}, running
    yield "_sum", labels, total
    yield "_count", labels, running


_FAMILIES: tuple[tuple[str, str, str, _Samples], ...] = (
    ("model_info", "gauge", "1 for each loaded model.", _info),
    ("requests_total", "counter", "Answered inference requests by protocol and HTTP status.", _requests),
    ("request_errors_total", "counter", "Inference requests answered with an error.", _errors),
    ("request_duration_seconds", "histogram", "Time to answer, body received.", _durations),
    ("last_inference_timestamp_seconds", "gauge", "Time of the last answer.", _last),
    ("output_class_total", "counter", "Rows answered with each class.", _classes),
    ("input_feature", "histogram", "Values of a feature, in the bins of training.", _values),
    ("input_category_total", "counter", "Values of a categorical feature.", _categories),
    ("input_missing_total", "counter", "Missing values of a feature.", _missing),
    ("input_out_of_range_total", "counter", "Values outside of the range of training.", _out_of_range),
)

"""What Prometheus scrapes, counted by hand ("Exposition formats", text format 0.0.4)."""

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"

#: Upper bounds of the latency histogram, in seconds.
BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


@dataclass
class ModelMetrics:
    """The counters of one model version; `digest` is its bundle's."""

    name: str
    version: str
    digest: str
    codes: dict[int, int] = field(default_factory=lambda: {200: 0})
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    seconds: float = 0.0
    last: float = 0.0

    def answered(self, code: int, seconds: float) -> None:
        """Count one answered request."""
        self.codes[code] = self.codes.get(code, 0) + 1
        self.buckets[bisect_left(BUCKETS, seconds)] += 1
        self.seconds += seconds
        if code == 200:
            self.last = time.time()


def exposition(models: list[ModelMetrics], in_flight: int) -> bytes:
    """Return all metrics as Prometheus reads them."""
    lines = [
        "# HELP kfp_edge_requests_in_flight Inference requests being received or answered.",
        "# TYPE kfp_edge_requests_in_flight gauge",
        f"kfp_edge_requests_in_flight {in_flight}",
    ]
    lines += _family("model_info", "gauge", "1 for each loaded model.", models, _info)
    lines += _family("requests_total", "counter", "Answered inference requests by HTTP status.", models, _requests)
    lines += _family("request_errors_total", "counter", "Inference requests answered with an error.", models, _errors)
    lines += _family("request_duration_seconds", "histogram", "Time to answer, body received.", models, _durations)
    lines += _family("last_inference_timestamp_seconds", "gauge", "Time of the last answer.", models, _last)
    return ("\n".join(lines) + "\n").encode()


#: Suffix of the name, further labels, value.
_Sample = tuple[str, str, float]


def _family(
    name: str, kind: str, text: str, models: list[ModelMetrics], samples: Callable[[ModelMetrics], Iterator[_Sample]]
) -> Iterator[str]:
    full = f"kfp_edge_{name}"
    yield f"# HELP {full} {text}"
    yield f"# TYPE {full} {kind}"
    for model in models:
        label = f'model="{model.name}",version="{model.version}"'
        for suffix, labels, value in samples(model):
            yield f"{full}{suffix}{{{label}{labels}}} {value:.17g}"


def _info(model: ModelMetrics) -> Iterator[_Sample]:
    yield "", f',bundle_sha256="{model.digest}"', 1


def _requests(model: ModelMetrics) -> Iterator[_Sample]:
    for code, count in sorted(model.codes.items()):
        yield "", f',code="{code}"', count


def _errors(model: ModelMetrics) -> Iterator[_Sample]:
    yield "", "", sum(count for code, count in model.codes.items() if code != 200)


def _last(model: ModelMetrics) -> Iterator[_Sample]:
    yield "", "", model.last


def _durations(model: ModelMetrics) -> Iterator[_Sample]:
    total = 0
    for bound, count in zip((*map(str, BUCKETS), "+Inf"), model.buckets, strict=True):
        total += count
        yield "_bucket", f',le="{bound}"', total
    yield "_sum", "", model.seconds
    yield "_count", "", total

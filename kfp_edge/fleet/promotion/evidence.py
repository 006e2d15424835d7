"""What the sites of a ring have shown of a digest: how long they ran it, and how their requests were answered.

Everything is counted only for times in which the very server that answered reported the digest: the version before,
which ran at the same address, is not blamed on the new one, nor the other way round.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

from kfp_edge.fleet.status.reports import LOOKBACK, SITES_AT_A_TIME
from kfp_edge.fleet.status.status import SiteStatus
from kfp_edge.prometheus import Prometheus

#: How far back a digest is looked at, however long the ring has it.
LONGEST_PERIOD = timedelta(days=30)
QUANTILE = 0.99


@dataclass(frozen=True)
class Requests:
    """Requests that were answered with one digest; `buckets` counts those up to a latency in seconds."""

    total: float = 0.0
    errors: float = 0.0
    buckets: Mapping[float, float] = field(default_factory=dict)

    @property
    def error_rate(self) -> float:
        """The share that failed at the server (HTTP 5xx)."""
        return self.errors / self.total if self.total else 0.0

    @property
    def latency(self) -> float | None:
        """The 99th percentile of the latency in seconds, interpolated as Prometheus does; None without requests."""
        bounds = sorted(self.buckets)
        total = self.buckets[bounds[-1]] if bounds else 0.0
        if not total:
            return None
        rank = QUANTILE * total
        for (low, below), (high, up_to) in pairwise([(0.0, 0.0), *((bound, self.buckets[bound]) for bound in bounds)]):
            if up_to >= rank:
                if high == float("inf"):
                    return low
                return low + (high - low) * (rank - below) / (up_to - below)
        return bounds[-1]

    def __add__(self, other: "Requests") -> "Requests":
        bounds = {*self.buckets, *other.buckets}
        buckets = {bound: self.buckets.get(bound, 0.0) + other.buckets.get(bound, 0.0) for bound in bounds}
        return Requests(self.total + other.total, self.errors + other.errors, buckets)


@dataclass(frozen=True)
class SiteEvidence:
    """What one site has shown of a digest.

    `ran` is how long a server with the digest took requests since the ring has it, `online` how long the site reported
    any digest; times without metrics do not count.
    """

    status: SiteStatus
    ran: timedelta
    online: timedelta
    requests: Requests


def read_evidence(
    prometheus: Prometheus, label: str, sites: Sequence[SiteStatus], soak_time: timedelta, now: datetime
) -> list[SiteEvidence]:
    """Return what sites of one ring have shown of the digest that they should run.

    Args:
        prometheus: Where the metrics are.
        label: The label that names the site of a series.
        sites: The status of one model at the sites of a ring.
        soak_time: How long the ring has to run a digest, which decides how finely is looked.
        now: The time of the decision.

    Raises:
        MetricsError: the metrics cannot be read.
    """
    evidence = []
    for start in range(0, len(sites), SITES_AT_A_TIME):
        part = sites[start : start + SITES_AT_A_TIME]
        evidence += _read_part(prometheus, label, part, soak_time, now)
    return evidence


def _read_part(
    prometheus: Prometheus, label: str, sites: Sequence[SiteStatus], soak_time: timedelta, now: datetime
) -> list[SiteEvidence]:
    wanted = sites[0].wanted
    step = _clamp(soak_time / 60, timedelta(seconds=1), LOOKBACK)
    period = f"[{_seconds(max(min(now - wanted.since, LONGEST_PERIOD), step))}:{_seconds(step)}]"
    names = "|".join(each.site.name for each in sites)
    of_model = f'{label}=~"{names}",model="{sites[0].model}"'
    window = _choose_window(prometheus, label, of_model, soak_time, now)
    info = f'kfp_edge_model_info{{{of_model},image_digest="{wanted.image.digest}"}}'
    by = f"{label}, job, instance, model"
    # at both ends of the window in which requests are counted
    runs_it = f"({info} and on ({by}) {info} offset {_seconds(window)})"

    def count(series: str, also_by: str = "") -> str:
        increase = f"increase({series}[{_seconds(window)}]) and on ({by}) {runs_it}"
        return f"sum by ({label}{also_by}) (sum_over_time(({increase}){period})) * {step / window}"

    def by_site(query: str) -> dict[str, float]:
        return {sample.labels[label]: sample.value for sample in prometheus.query(query, now)}

    ready = f'max by ({label}, job, instance) (kfp_edge_ready{{{label}=~"{names}"}})'
    is_ready = f"max by ({label}) ({info} * on ({label}, job, instance) group_left () {ready})"
    ready_steps = by_site(f"sum_over_time(({is_ready}){period})")
    any_steps = by_site(f"count_over_time((max by ({label}) (kfp_edge_model_info{{{of_model}}})){period})")
    total = by_site(count(f"kfp_edge_requests_total{{{of_model}}}"))
    errors = by_site(count(f'kfp_edge_requests_total{{{of_model},code=~"5.."}}'))
    buckets: dict[str, dict[float, float]] = {}
    histogram = count(f"kfp_edge_request_duration_seconds_bucket{{{of_model}}}", ", le")
    for sample in prometheus.query(histogram, now):
        buckets.setdefault(sample.labels[label], {})[float(sample.labels["le"])] = sample.value
    return [
        SiteEvidence(
            each,
            ready_steps.get(name, 0) * step,
            any_steps.get(name, 0) * step,
            Requests(total.get(name, 0.0), errors.get(name, 0.0), buckets.get(name, {})),
        )
        for each in sites
        for name in [each.site.name]
    ]


def _choose_window(prometheus: Prometheus, label: str, of_model: str, soak_time: timedelta, now: datetime) -> timedelta:
    """Return the time over which requests are counted: a part of the soak time, and at least two scrapes of most sites.

    A shorter one than the time between two scrapes would count nothing, whatever the servers answered.
    """
    series = f"kfp_edge_requests_total{{{of_model}}}"

    def count_sites(vector: str) -> int:
        return len(prometheus.query(f"count by ({label}) ({vector})", now))

    window = _clamp(soak_time / 6, timedelta(seconds=4), LOOKBACK)
    sites = count_sites(series) if window < LOOKBACK else 0
    # two scrapes in the half of a window are two in each whole one
    while window < LOOKBACK and 2 * count_sites(f"increase({series}[{_seconds(window / 2)}])") < sites:
        window = min(2 * window, LOOKBACK)
    return window


def _clamp(value: timedelta, least: timedelta, most: timedelta) -> timedelta:
    return max(least, min(value, most))


def _seconds(duration: timedelta) -> str:
    return f"{max(1, round(duration.total_seconds()))}s"

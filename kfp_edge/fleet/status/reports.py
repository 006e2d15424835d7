"""What the sites report: the images that their servers run, when they were last seen, and whether they are ready.

`kfp_edge_model_info` has model, version and the digest of the image (serving/README.md, "Metrics"). The label that
names the site is added where the metrics are scraped or sent on, and is a setting of the fleet.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from kfp_edge.fleet.status.prometheus import Prometheus, Sample

#: How long Prometheus shows the last value of a series, by default.
LOOKBACK = timedelta(minutes=5)
#: Sites in one query: more would exceed the samples that Prometheus loads for one.
SITES_AT_A_TIME = 500


@dataclass(frozen=True)
class Report:
    """A model that a site reported; `digest` is empty where its server does not know that of its image."""

    site: str
    model: str
    version: str
    digest: str
    last_seen: datetime


@dataclass(frozen=True)
class SiteReports:
    """The reports of one model at one site."""

    #: What it runs now; empty if it is not seen now.
    current: tuple[Report, ...] = ()
    #: The newest report of each image, the newest first.
    earlier: tuple[Report, ...] = ()
    #: Whether a server with the model took requests lately; None if it is not seen now.
    is_ready: bool | None = None

    @property
    def last_seen(self) -> datetime | None:
        """When the site last reported the model."""
        return max((report.last_seen for report in (*self.current, *self.earlier)), default=None)

    @property
    def digests(self) -> tuple[str, ...]:
        """The digests of the newest reports: several while one version replaces the other."""
        reports = self.current or self.earlier[:1]
        return tuple(sorted({report.digest for report in reports}))

    def last_reported(self, digest: str) -> datetime | None:
        """When the site last reported an image."""
        return max((r.last_seen for r in (*self.current, *self.earlier) if r.digest == digest), default=None)


def read_reports(
    prometheus: Prometheus, label: str, wanted: Mapping[tuple[str, str], str], now: datetime, horizon: timedelta
) -> dict[tuple[str, str], SiteReports]:
    """Return what sites report, by site and model.

    What is seen now takes one query for the whole fleet. The past is looked at for those sites only that are not seen,
    or run something else than they should, in steps of five minutes.

    Args:
        prometheus: Where the metrics are.
        label: The label that names the site of a series.
        wanted: The digest that each site should run, by site and model.
        now: The time of the status.
        horizon: How far back to look for the last report of a site.

    Raises:
        MetricsError: the metrics cannot be read.
    """
    info = f"kfp_edge_model_info{{{label}!=''}}"
    current: dict[tuple[str, str], list[Report]] = defaultdict(list)
    query = f"max by ({label}, model, version, image_digest) (timestamp({info}))"
    for report in _reports(prometheus.query(query, now), label):
        current[report.site, report.model].append(report)
    ready = f"max by ({label}, job, instance) (max_over_time(kfp_edge_ready[{_seconds(LOOKBACK)}]))"
    query = f"max by ({label}, model) ({info} * on ({label}, job, instance) group_left () {ready})"
    is_ready = {_key(sample, label): sample.value > 0 for sample in prometheus.query(query, now)}
    reports = {key: SiteReports(tuple(each), (), is_ready.get(key, False)) for key, each in current.items()}
    none = SiteReports()
    unclear = {key[0] for key, digest in wanted.items() if reports.get(key, none).digests != (digest,)}
    earlier: dict[tuple[str, str], list[Report]] = defaultdict(list)
    for names in _chunks(sorted(unclear)):
        selector = f"kfp_edge_model_info{{{label}=~'{'|'.join(names)}'}}"
        window = f"[{_seconds(horizon)}:{_seconds(LOOKBACK)}]"
        query = f"max by ({label}, model, version, image_digest) (max_over_time(timestamp({selector}){window}))"
        for report in _reports(prometheus.query(query, now), label):
            earlier[report.site, report.model].append(report)
    for key, past in earlier.items():
        known = reports.get(key, none)
        newest_first = sorted(past, key=lambda report: report.last_seen, reverse=True)
        reports[key] = SiteReports(known.current, tuple(newest_first), known.is_ready)
    return reports


def _reports(samples: Iterable[Sample], label: str) -> Iterator[Report]:
    for sample in samples:
        labels = sample.labels
        yield Report(
            labels[label],
            labels.get("model", ""),
            labels.get("version", ""),
            labels.get("image_digest", ""),
            datetime.fromtimestamp(sample.value, UTC),
        )


def _key(sample: Sample, label: str) -> tuple[str, str]:
    return sample.labels[label], sample.labels.get("model", "")


def _chunks(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), SITES_AT_A_TIME):
        yield names[start : start + SITES_AT_A_TIME]


def _seconds(duration: timedelta) -> str:
    return f"{max(1, int(duration.total_seconds()))}s"

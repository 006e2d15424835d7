"""What the sites report: the images that their servers run, when they were last seen, and whether they are ready.

`kfp_edge_model_info` has model, version and the digest of the image (serving/README.md, "Metrics"). The label that
names the site is added where the metrics are scraped or sent on, and is a setting of the fleet.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from kfp_edge.fleet.releases.history import RingRelease
from kfp_edge.prometheus import Prometheus

#: How long Prometheus shows the last value of a series, by default.
LOOKBACK = timedelta(minutes=5)
#: Sites in one query: more would exceed the samples that Prometheus loads for one.
SITES_AT_A_TIME = 500
#: How far back all sites that are not seen now are looked for at first: a week takes seven times as long as a day.
_FIRST_LOOKS = (timedelta(hours=1), timedelta(days=1))
#: Up to which period the times of reports are exact.
_EXACT_PERIOD = _FIRST_LOOKS[0]


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
    prometheus: Prometheus, label: str, wanted: Mapping[tuple[str, str], RingRelease], now: datetime, horizon: timedelta
) -> dict[tuple[str, str], SiteReports]:
    """Return what sites report, by site and model.

    What is seen now takes one query for the whole fleet. The past is looked at in steps of five minutes: for sites that
    are not seen, an hour, then a day, and only for those without a report in it as far back as the horizon; for sites
    that run something else than they should, since they should, and only for that image. So it takes little where a
    whole fleet has not taken a release yet. A report of more than an hour ago may be up to five minutes older than its
    time here.

    Args:
        prometheus: Where the metrics are.
        label: The label that names the site of a series.
        wanted: What each site should run, by site and model.
        now: The time of the status.
        horizon: How far back to look for the last report of a site.

    Raises:
        MetricsError: the metrics cannot be read.
    """
    query = _Query(prometheus, label, now)
    current: dict[tuple[str, str], list[Report]] = defaultdict(list)
    for report in query.reports(f"timestamp(kfp_edge_model_info{{{label}!=''}})"):
        current[report.site, report.model].append(report)
    is_ready = query.readiness()
    earlier: dict[tuple[str, str], list[Report]] = defaultdict(list)
    past = _look_back(query, wanted, current, horizon)
    for report in sorted(past, key=lambda each: each.last_seen, reverse=True):
        earlier[report.site, report.model].append(report)
    return {
        key: SiteReports(
            tuple(current.get(key, ())),
            tuple(earlier.get(key, ())),
            is_ready.get(key, False) if key in current else None,
        )
        for key in {*current, *earlier}
    }


def _look_back(
    query: "_Query",
    wanted: Mapping[tuple[str, str], RingRelease],
    current: Mapping[tuple[str, str], Sequence[Report]],
    horizon: timedelta,
) -> list[Report]:
    """Return what is needed of the past: when a site was seen last, and when it last ran what it should."""
    unseen = {key for key in wanted if key not in current}
    reported: dict[tuple[str, str], list[Report]] = defaultdict(list)
    past: list[Report] = []
    for period in (*(look for look in _FIRST_LOOKS if look < horizon), horizon):
        missing = {key for key in unseen if key not in reported}
        for report in query.past({site for site, _ in missing}, "", period):
            if (report.site, report.model) in missing:
                past.append(report)
                reported[report.site, report.model].append(report)
    for (model, release), sites in _group_drifted(wanted, reported | dict(current)).items():
        series = f',model="{model}",image_digest="{release.image.digest}"'
        past += query.past(sites, series, min(max(query.now - release.since, LOOKBACK), horizon))
    return past


def _group_drifted(
    wanted: Mapping[tuple[str, str], RingRelease], reported: Mapping[tuple[str, str], Sequence[Report]]
) -> dict[tuple[str, RingRelease], list[str]]:
    """Return the sites that reported something, and nothing of what they should run, by model and release."""
    sites: dict[tuple[str, RingRelease], list[str]] = defaultdict(list)
    for (site, model), release in wanted.items():
        reports = reported.get((site, model), ())
        if reports and all(report.digest != release.image.digest for report in reports):
            sites[model, release].append(site)
    return sites


@dataclass(frozen=True)
class _Query:
    prometheus: Prometheus
    label: str
    now: datetime

    def reports(self, timestamps: str) -> Iterator[Report]:
        """Yield the reports of which an expression gives the times."""
        by = f"max by ({self.label}, model, version, image_digest)"
        for sample in self.prometheus.query(f"{by} ({timestamps})", self.now):
            labels = sample.labels
            yield Report(
                labels[self.label],
                labels.get("model", ""),
                labels.get("version", ""),
                labels.get("image_digest", ""),
                datetime.fromtimestamp(sample.value, UTC),
            )

    def past(self, sites: Iterable[str], series: str, period: timedelta) -> Iterator[Report]:
        """Yield the newest report of each image at these sites within a period; `series` has further conditions.

        Before 2.47, Prometheus reads a series from its beginning for each step of `timestamp` of a selector: a day took
        1.5 s for 500 series. It took 0.1 s for `timestamp` of any other expression, which is the time of the step, up
        to `LOOKBACK` later.
        """
        for names in _chunks(sorted(sites)):
            selector = f"kfp_edge_model_info{{{self.label}=~'{'|'.join(names)}'{series}}}"
            sampled = selector if period <= _EXACT_PERIOD else f"{selector} * 1"  # no selector any more
            yield from self.reports(f"max_over_time(timestamp({sampled})[{_seconds(period)}:{_seconds(LOOKBACK)}])")

    def readiness(self) -> dict[tuple[str, str], bool]:
        """Return whether a server with the model took requests lately, by site and model."""
        label = self.label
        ready = f"max by ({label}, job, instance) (max_over_time(kfp_edge_ready[{_seconds(LOOKBACK)}]))"
        info = f"kfp_edge_model_info{{{label}!=''}}"
        query = f"max by ({label}, model) ({info} * on ({label}, job, instance) group_left () {ready})"
        samples = self.prometheus.query(query, self.now)
        return {(each.labels[label], each.labels.get("model", "")): each.value > 0 for each in samples}


def _chunks(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), SITES_AT_A_TIME):
        yield names[start : start + SITES_AT_A_TIME]


def _seconds(duration: timedelta) -> str:
    return f"{max(1, int(duration.total_seconds()))}s"

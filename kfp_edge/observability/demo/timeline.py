"""What Prometheus has of the demo, over its time."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from kfp_edge.observability.demo.alerts import find_subject
from kfp_edge.prometheus import Prometheus, Series

_STEP = timedelta(seconds=1)
_WINDOW = "5s"
_REQUESTS = f'sum by (site) (rate(kfp_edge_requests_total{{site!=""}}[{_WINDOW}]))'
_BUCKETS = f'sum by (site, le) (rate(kfp_edge_request_duration_seconds_bucket{{site!=""}}[{_WINDOW}]))'
_ANSWERED = f'sum by (site) (rate(kfp_edge_request_duration_seconds_count{{site!=""}}[{_WINDOW}])) > 0'
_PSI = "site_model_feature:kfp_edge_input_psi:1d"
_PSI_LIMIT = "site_model_feature:kfp_edge_input_psi_limit:1d"


@dataclass(frozen=True)
class Firing:
    """One alert, and the times at which it fired: each lasts until the next step."""

    name: str
    site: str
    subject: str
    times: tuple[datetime, ...]


@dataclass(frozen=True)
class Timeline:
    """Series by site, and the alerts.

    Attributes:
        start: When Prometheus began to evaluate rules.
        end: The last time.
        drift_at: From when on a site had other rows.
        stop_at: When a server was stopped.
        step: Seconds between two values.
        requests: Requests a second, by site.
        latency: The 99th percentile in seconds, by site.
        psi: The population stability index of each feature, by site.
        psi_limit: From which on it is drift.
        alerts: In the order in which they began.
    """

    start: datetime
    end: datetime
    drift_at: datetime
    stop_at: datetime
    step: timedelta
    requests: tuple[Series, ...]
    latency: tuple[Series, ...]
    psi: tuple[Series, ...]
    psi_limit: tuple[Series, ...]
    alerts: tuple[Firing, ...]


def read_timeline(
    prometheus: Prometheus, start: datetime, drift_at: datetime, stop_at: datetime, end: datetime
) -> Timeline:
    """Return the time of the demo.

    Raises:
        MetricsError: Prometheus does not answer.
    """

    def read(expression: str) -> tuple[Series, ...]:
        series = prometheus.query_range(expression, start, end, _STEP)
        return tuple(sorted(series, key=lambda each: sorted(each.labels.items())))

    alerts = [
        Firing(
            each.labels["alertname"],
            each.labels.get("site", ""),
            find_subject(dict(each.labels)),
            tuple(at for at, _ in each.values),
        )
        for each in read('ALERTS{alertstate="firing"}')
    ]
    return Timeline(
        start=start,
        end=end,
        drift_at=drift_at,
        stop_at=stop_at,
        step=_STEP,
        requests=read(_REQUESTS),
        latency=read(f"histogram_quantile(0.99, {_BUCKETS}) and on (site) ({_ANSWERED})"),
        psi=read(_PSI),
        psi_limit=read(f"min by (site) ({_PSI_LIMIT})"),
        alerts=tuple(sorted(alerts, key=lambda each: (each.times[0], each.site, each.name, each.subject))),
    )

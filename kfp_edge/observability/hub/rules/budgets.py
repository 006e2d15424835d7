"""Service level objectives, and alerts on how fast their error budgets are used up.

An alert looks at two windows at once ("The Site Reliability Workbook", chapter 5, "Multiwindow, Multi-Burn-Rate
Alerts"): the long one says that it matters, the short one that it still goes on.
"""

from dataclasses import dataclass

from kfp_edge.observability.hub.rules.contracts import Alert, Group, Recording, Severity
from kfp_edge.observability.hub.rules.expressions import OF_SITES, rate
from kfp_edge.observability.hub.rules.settings import AlertSettings

#: Windows that are recorded every minute, and every two minutes.
SHORT, LONG = ("5m", "30m", "1h"), ("2h", "6h", "1d")
#: With fewer requests in the long window there is no verdict: one error of ten requests says nothing.
MIN_REQUESTS = 100
_SECONDS = {"1h": 3600, "6h": 21600, "1d": 86400}
_REQUESTS = f"kfp_edge_requests_total{{{OF_SITES}}}"
_FAILED = f'kfp_edge_requests_total{{{OF_SITES}, code=~"5.."}}'


@dataclass(frozen=True)
class BurnRate:
    """How many times faster than allowed a budget of 30 days is used up, and over which windows that is looked at."""

    factor: float
    long: str
    short: str


#: 2 % of the budget in an hour, 5 % in six.
FAST = (BurnRate(14.4, "1h", "5m"), BurnRate(6, "6h", "30m"))
#: 10 % in a day.
SLOW = (BurnRate(3, "1d", "2h"),)


def budget_rules(settings: AlertSettings) -> tuple[Group, Group]:
    """Return the rules about error rate and latency: those with short windows and alerts, those with long windows."""
    errors, latency = 1 - settings.availability, 1 - settings.latency.share
    within = f"{1000 * settings.latency.within:g} ms"
    alerts = [
        *_alerts(
            "KfpEdgeErrorBudgetBurn",
            "kfp_edge_request_errors",
            errors,
            "{{ $value | humanizePercentage }} of the requests to {{ $labels.model }} at site {{ $labels.site }} fail.",
            f"The server answers them with HTTP 5xx; {errors:.3%} are allowed over 30 days.",
        ),
        *_alerts(
            "KfpEdgeLatencyBudgetBurn",
            "kfp_edge_slow_requests",
            latency,
            "{{ $value | humanizePercentage }} of the requests to {{ $labels.model }} at site {{ $labels.site }} take "
            f"longer than {within}.",
            f"{latency:.3%} are allowed over 30 days.",
        ),
    ]
    of_day = [alert for alert in alerts if alert.severity is not Severity.CRITICAL]
    now = [alert for alert in alerts if alert.severity is Severity.CRITICAL]
    return (
        Group("kfp-edge-budgets-long", "2m", (*_recordings(LONG, settings), *of_day)),
        Group("kfp-edge-budgets", "1m", (*_recordings(SHORT, settings), *now)),
    )


def _recordings(windows: tuple[str, ...], settings: AlertSettings) -> list[Recording]:
    rules = []
    for window in windows:
        requests = f"site_model:kfp_edge_requests:rate{window}"
        # > 0: without requests, there is no share, and no NaN that would spoil an average over sites
        rules += [
            Recording(requests, rate(_REQUESTS, window)),
            Recording(
                f"site_model:kfp_edge_request_errors:ratio_rate{window}",
                f"{rate(_FAILED, window)}\n/ ({requests} > 0)",
            ),
            Recording(
                f"site_model:kfp_edge_slow_requests:ratio_rate{window}",
                f"1 - {rate(_fast_selector(settings.latency.within), window)}\n"
                f"/ ({rate(f'kfp_edge_request_duration_seconds_count{{{OF_SITES}}}', window)} > 0)",
            ),
        ]
    return rules


def _fast_selector(bound: float) -> str:
    # a whole number has .0 in some pipelines: Prometheus 3 writes it, the exporters of the Collector do not
    text = f'le=~"{bound:g}([.]0)?"' if bound.is_integer() else f'le="{f"{bound:f}".rstrip("0")}"'
    return f"kfp_edge_request_duration_seconds_bucket{{{OF_SITES}, {text}}}"


def _alerts(name: str, metric: str, budget: float, summary: str, description: str) -> list[Alert]:
    return [
        Alert(
            name,
            "\nor ".join(_burns(metric, budget, each) for each in burn_rates),
            lasts,
            severity,
            summary,
            f"{description} {consequence}",
        )
        for burn_rates, lasts, severity, consequence in (
            (FAST, "2m", Severity.CRITICAL, "At this rate, the allowance of a month is used up within five days."),
            (SLOW, "15m", Severity.WARNING, "At this rate, the allowance of a month is used up within ten days."),
        )
    ]


def _burns(metric: str, budget: float, burn: BurnRate) -> str:
    limit = f"{burn.factor * budget:.6g}"
    return (
        f"(site_model:{metric}:ratio_rate{burn.long} > {limit}\n"
        f"and site_model:{metric}:ratio_rate{burn.short} > {limit}\n"
        f"and site_model:kfp_edge_requests:rate{burn.long} * {_SECONDS[burn.long]} >= {MIN_REQUESTS})"
    )

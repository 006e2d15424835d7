"""Rules about the way of the samples: what the queues of the sites lost, and what the hub refuses.

A site sends what is in its queue in the order of time, also about the queue itself. So during an outage the hub sees
nothing of it, and afterwards samples come with the times of the outage: alerts look back for as long as one lasts.
"""

from kfp_edge.fleet.units import format_duration
from kfp_edge.observability.hub.rules.contracts import Alert, Group, Severity
from kfp_edge.observability.hub.rules.expressions import OF_SITES
from kfp_edge.observability.hub.rules.settings import AlertSettings

_QUEUE = "site, ring, exporter"
_NEARLY_FULL = 0.8


def collector_rules(settings: AlertSettings) -> Group:
    """Return the rules about collectors."""
    outage = format_duration(settings.outage)
    size, capacity = (
        f"max by ({_QUEUE}) (max_over_time(otelcol_exporter_queue_{what}{{{OF_SITES}}}[{window}]))"
        for what, window in (("size", outage), ("capacity", "1h"))
    )
    lost = '{__name__=~"otelcol_exporter_enqueue_failed_metric_points(_total)?", ' + f"{OF_SITES}}}"
    # a collector has the counter from the first loss on, so that its first value is an increase that no one sees
    born = f"sum by (site, ring) (max_over_time({lost}[{outage}]) unless last_over_time({lost}[1h] offset {outage}))"
    failed = '{__name__=~"otelcol_exporter_send_failed_metric_points(_total)?", site=""}'
    return Group(
        "kfp-edge-collectors",
        "2m",
        (
            Alert(
                "KfpEdgeQueueTooSmall",
                f"{size}\n/ {capacity} > {_NEARLY_FULL}",
                "5m",
                Severity.WARNING,
                "The queue of the collector at site {{ $labels.site }} was {{ $value | humanizePercentage }} full.",
                f"So an outage of {outage} does not fit, or the line is too slow for what the site measures.",
            ),
            Alert(
                "KfpEdgeSamplesLost",
                f"{born} > 0\nor sum by (site, ring) (increase({lost}[{outage}])) > 0",
                "0m",
                Severity.CRITICAL,
                "The collector at site {{ $labels.site }} has lost {{ $value | humanize }} samples.",
                f"Its queue was full, or its disk, within the last {outage}.",
            ),
            Alert(
                "KfpEdgeSamplesTooOld",
                "sum by (instance) (increase(prometheus_tsdb_too_old_samples_total[15m])) > 0\n"
                "or sum by (instance) (increase(prometheus_tsdb_out_of_bound_samples_total[15m])) > 0",
                "0m",
                Severity.CRITICAL,
                "Prometheus {{ $labels.instance }} refuses samples that are older than its out-of-order window.",
                "A site was offline for longer than `out_of_order_time_window`, and what it measured then is lost.",
            ),
            Alert(
                "KfpEdgeHubDoesNotStore",
                f"sum by (instance, exporter) (rate({failed}[10m])) > 0",
                "10m",
                Severity.CRITICAL,
                'The collector of the hub cannot store {{ $value | printf "%.1f" }} samples a second.',
                "Its log has the answer of the storage: 4xx but 429 loses the samples, else the sites keep them.",
            ),
        ),
    )

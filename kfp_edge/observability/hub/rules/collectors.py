"""Rules about the way of the samples: the queues of the sites, and what the hub refuses."""

from kfp_edge.observability.hub.rules.contracts import Alert, Group, Severity
from kfp_edge.observability.hub.rules.expressions import OF_SITES

_QUEUE = "site, ring, exporter"
#: Shares of a queue: it is filling, it is nearly full.
_FILLING, _NEARLY_FULL = 0.5, 0.8


def collector_rules() -> Group:
    """Return the rules about collectors."""
    size = f"sum by ({_QUEUE}) (otelcol_exporter_queue_size{{{OF_SITES}}})"
    capacity = f"sum by ({_QUEUE}) (otelcol_exporter_queue_capacity{{{OF_SITES}}})"
    lost = '{__name__=~"otelcol_exporter_enqueue_failed_metric_points(_total)?", ' + f"{OF_SITES}}}"
    failed = '{__name__=~"otelcol_exporter_send_failed_metric_points(_total)?", site=""}'
    return Group(
        "kfp-edge-collectors",
        "1m",
        (
            Alert(
                "KfpEdgeQueueFilling",
                f"{size}\n/ {capacity} > {_FILLING}",
                "15m",
                Severity.WARNING,
                "The queue of the collector at site {{ $labels.site }} is {{ $value | humanizePercentage }} full.",
                "It is sent more slowly than it grows, or an outage has just ended and it empties.",
            ),
            Alert(
                "KfpEdgeQueueNearlyFull",
                f"{size}\n/ {capacity} > {_NEARLY_FULL}",
                "5m",
                Severity.CRITICAL,
                "The queue of the collector at site {{ $labels.site }} is {{ $value | humanizePercentage }} full.",
                "When it is full, the newest samples are lost.",
            ),
            Alert(
                "KfpEdgeSamplesLost",
                f"sum by (site, ring) (increase({lost}[15m])) > 0",
                "0m",
                Severity.CRITICAL,
                "The collector at site {{ $labels.site }} has lost {{ $value | humanize }} samples.",
                "Its queue was full, or its disk.",
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
                "The collector of the hub cannot store {{ $value | humanize }} samples a second.",
                "Its log has the answer of the storage; sites keep what the hub does not take.",
            ),
        ),
    )

"""The dashboard of one site: its servers, its models, its collector, its sensor feed."""

from dataclasses import replace

from kfp_edge.observability.dashboards.contracts import Dashboard, Kind, Panel, Query, Row
from kfp_edge.observability.dashboards.expressions import RING, SITE, quantile, rate
from kfp_edge.observability.hub.rules.sites import LAST_SEEN

_OF_SITE = '{site="$site"}'
_INFO = f"max by (model, version, image_digest) (kfp_edge_model_info{_OF_SITE})"
_WANTED = f"max by (model, image_digest) (kfp_edge_fleet_wanted_info{_OF_SITE})"
_BUFFER = tuple(f"max by (instance) (kfp_edge_feed_{name}{_OF_SITE})" for name in ("buffer_bytes", "buffer_size_bytes"))

ONE_SITE = Dashboard(
    "kfp-edge-site",
    "kfp-edge: site",
    "One site: what fires, what runs, how it answers, and whether its samples arrive.",
    (RING, replace(SITE, is_single=True)),
    (
        Row(
            "State",
            (
                Panel(
                    "Last seen",
                    "How old the newest sample of the site is. Everything else on this page is as old as that.",
                    "s",
                    (Query(f"time() - {LAST_SEEN}{_OF_SITE}", "last seen"),),
                    Kind.NUMBERS,
                    6,
                    (300, 3600),
                ),
                Panel(
                    "Scraped servers",
                    "1 for a server that answers the collector of the site, 0 for one that does not.",
                    "none",
                    (Query(f"max by (job, instance) (up{_OF_SITE})", "{{job}} {{instance}}"),),
                    Kind.NUMBERS,
                    6,
                ),
                Panel(
                    "Alerts",
                    "What fires now; docs/runbooks.md has a section for each alert.",
                    "none",
                    (
                        Query(
                            'max by (severity, alertname, model, feature) (ALERTS{alertstate="firing", site="$site"})'
                        ),
                    ),
                    Kind.TABLE,
                ),
                Panel(
                    "Models that run",
                    "The images that the servers of the site report.",
                    "none",
                    (Query(_INFO),),
                    Kind.TABLE,
                ),
                Panel(
                    "Models that should run",
                    "1 where the site runs the image that the repository of the fleet wants, 0 where it does not.",
                    "none",
                    (Query(f"({_WANTED} and on (model, image_digest) {_INFO})\nor 0 * {_WANTED}"),),
                    Kind.TABLE,
                ),
            ),
        ),
        Row(
            "Requests",
            (
                Panel(
                    "Requests",
                    "Requests a second by model and HTTP status.",
                    "reqps",
                    (Query(rate(f"kfp_edge_requests_total{_OF_SITE}", "model, code"), "{{model}} {{code}}"),),
                    Kind.STACKED,
                ),
                Panel(
                    "Latency",
                    "95 % of the requests are answered within this time.",
                    "s",
                    (Query(quantile(0.95, _OF_SITE, "model"), "{{model}}"),),
                ),
                Panel(
                    "Refused requests",
                    "Refused before a model computed anything, by reason.",
                    "reqps",
                    (Query(rate(f"kfp_edge_refused_requests_total{_OF_SITE}", "reason"), "{{reason}}"),),
                ),
                Panel(
                    "Connections and requests in flight",
                    "Both rise when a server is slower than what is asked of it.",
                    "none",
                    (
                        Query(f"sum by (instance) (kfp_edge_connections{_OF_SITE})", "connections {{instance}}"),
                        Query(f"sum by (instance) (kfp_edge_requests_in_flight{_OF_SITE})", "in flight {{instance}}"),
                    ),
                ),
            ),
        ),
        Row(
            "Collector",
            (
                Panel(
                    "Queue",
                    "Bytes that wait to be sent to the hub, and how many there may be.",
                    "bytes",
                    (
                        Query(f"max by (exporter) (otelcol_exporter_queue_size{_OF_SITE})", "waiting"),
                        Query(f"max by (exporter) (otelcol_exporter_queue_capacity{_OF_SITE})", "room"),
                    ),
                ),
                Panel(
                    "Memory",
                    "Of the collector, with the mapped file of its queue.",
                    "bytes",
                    (Query(f"max by (instance) (otelcol_process_memory_rss{_OF_SITE})", "{{instance}}"),),
                ),
            ),
        ),
        Row(
            "Sensor feed, where there is one",
            (
                Panel(
                    "Messages",
                    "Messages of the sensors a second, by what became of them.",
                    "cps",
                    (Query(rate(f"kfp_edge_feed_messages_total{_OF_SITE}", "status"), "{{status}}"),),
                ),
                Panel(
                    "Rows",
                    "Rows a second that were assembled of them, by what became of them.",
                    "cps",
                    (Query(rate(f"kfp_edge_feed_rows_total{_OF_SITE}", "status"), "{{status}}"),),
                ),
                Panel(
                    "Buffer",
                    "How full it is. When it is full, messages are dropped.",
                    "percentunit",
                    (Query(f"{_BUFFER[0]}\n/ ({_BUFFER[1]} > 0)", "{{instance}}"),),
                ),
                Panel(
                    "Lost messages and sessions",
                    "Within an hour. Dropped: the buffer was full. Lost session: the broker kept nothing.",
                    "none",
                    (
                        Query(f"sum(increase(kfp_edge_feed_dropped_messages_total{_OF_SITE}[1h]))", "dropped"),
                        Query(f"sum(increase(kfp_edge_feed_unreadable_messages_total{_OF_SITE}[1h]))", "unreadable"),
                        Query(f"sum(increase(kfp_edge_feed_lost_sessions_total{_OF_SITE}[1h]))", "lost sessions"),
                    ),
                ),
            ),
        ),
    ),
)

"""The dashboard of a rollout: which image runs in which ring, since when, and whether it is worse than the last."""

from kfp_edge.observability.dashboards.contracts import Dashboard, Kind, Panel, Query, Row
from kfp_edge.observability.dashboards.expressions import MODEL, RING, quantile, rate, shorten_digest

_CHOSEN = '{model="$model", site!="", ring=~"$ring"}'
_RUNS = f"max by (site, ring, image_digest) (kfp_edge_model_info{_CHOSEN})"
_WANTED = 'max by (site, ring, image_digest) (kfp_edge_fleet_wanted_info{model="$model", ring=~"$ring"})'
_SINCE = 'max by (ring) (kfp_edge_fleet_wanted_since_timestamp_seconds{model="$model", ring=~"$ring"})'
_FAILED = '{model="$model", site!="", ring=~"$ring", code=~"5.."}'

ROLLOUT = Dashboard(
    "kfp-edge-rollout",
    "kfp-edge: rollout",
    "One model on its way through the rings: where which image runs, and how versions compare.",
    (MODEL, RING),
    (
        Row(
            "Rings",
            (
                Panel(
                    "Images by ring",
                    "At how many sites of a ring an image runs: one colour gives way to another as a ring changes.",
                    "none",
                    (
                        Query(
                            shorten_digest(f"count by (ring, image_digest) ({_RUNS})"),
                            "{{ring}} {{digest}}",
                        ),
                    ),
                    Kind.STACKED,
                    16,
                ),
                Panel(
                    "Sites with the image of their ring",
                    "The share of the sites of a ring that run what the repository of the fleet wants.",
                    "percentunit",
                    (
                        Query(
                            f"(count by (ring) ({_WANTED} and on (site, image_digest) {_RUNS})\n"
                            f"or 0 * count by (ring) ({_WANTED}))\n"
                            f"/ count by (ring) ({_WANTED})",
                            "{{ring}}",
                        ),
                    ),
                    Kind.NUMBERS,
                    8,
                ),
                Panel(
                    "Age of the wanted image",
                    "For how long the ring has had its image; promotion waits for the soak time of the ring.",
                    "s",
                    (Query(f"time() - {_SINCE}", "{{ring}}"),),
                    Kind.NUMBERS,
                    8,
                ),
                Panel(
                    "Sites that have not changed yet",
                    "They run another image than their ring should, or none, or are not seen. 1: a sync window is "
                    "open now; 0: the site waits for one.",
                    "none",
                    (
                        Query(
                            'max by (site, ring) (kfp_edge_fleet_site_may_change{ring=~"$ring"})\n'
                            f"and on (site) ({_WANTED} unless on (site, image_digest) {_RUNS})"
                        ),
                    ),
                    Kind.TABLE,
                    16,
                ),
            ),
        ),
        Row(
            "Versions side by side",
            (
                Panel(
                    "Failed requests",
                    "The share that the server answered with an error of its own (HTTP 5xx), by ring and version.",
                    "percentunit",
                    (
                        Query(
                            f"{rate('kfp_edge_requests_total' + _FAILED, 'ring, version')}\n"
                            f"/ ({rate('kfp_edge_requests_total' + _CHOSEN, 'ring, version')} > 0)",
                            "{{ring}} {{version}}",
                        ),
                    ),
                    width=8,
                ),
                Panel(
                    "Latency",
                    "95 % of the requests are answered within this time, by ring and version.",
                    "s",
                    (Query(quantile(0.95, _CHOSEN, "ring, version"), "{{ring}} {{version}}"),),
                    width=8,
                ),
                Panel(
                    "Requests",
                    "Requests a second by ring and version: what a comparison rests on.",
                    "reqps",
                    (
                        Query(
                            rate("kfp_edge_requests_total" + _CHOSEN, "ring, version"),
                            "{{ring}} {{version}}",
                        ),
                    ),
                    width=8,
                ),
            ),
        ),
    ),
)

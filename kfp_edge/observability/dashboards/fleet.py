"""The dashboard of the fleet: which sites are well, ill or unseen, and what they run."""

from kfp_edge.observability.dashboards.contracts import Dashboard, Kind, Panel, Query, Row
from kfp_edge.observability.dashboards.expressions import (
    ILL,
    RING,
    SITES,
    UNSEEN,
    WELL,
    count,
    recorded,
    weighted_ratio,
)
from kfp_edge.observability.hub.rules.sites import LAST_SEEN

_OF_RINGS = '{site!="", ring=~"$ring"}'
_PSI, _PSI_LIMIT = (
    recorded(f"site_model_feature:kfp_edge_input_{name}:1d", _OF_RINGS) for name in ("psi", "psi_limit")
)

FLEET = Dashboard(
    "kfp-edge-fleet",
    "kfp-edge: fleet",
    "All sites at a glance: which are well, which are not, and what they run.",
    (RING,),
    (
        Row(
            "Sites",
            (
                Panel(
                    "Sites by state",
                    "Well: online, and no alert fires. Ill: online, and an alert fires. Unseen: nothing has come for "
                    "longer than the ring allows, or ever.",
                    "none",
                    tuple(
                        Query(count(each), name) for each, name in ((WELL, "well"), (ILL, "ill"), (UNSEEN, "unseen"))
                    ),
                    Kind.NUMBERS,
                    8,
                ),
                Panel(
                    "Sites by state over time",
                    "A step of many sites at once is rather the hub or the network than the sites.",
                    "none",
                    tuple(
                        Query(count(each), name) for each, name in ((WELL, "well"), (ILL, "ill"), (UNSEEN, "unseen"))
                    ),
                    Kind.STACKED,
                    16,
                ),
                Panel(
                    "Sites by ring",
                    "How many sites the repository of the fleet has in each ring.",
                    "none",
                    (Query(f"count by (ring) ({SITES})", "{{ring}}"),),
                    Kind.NUMBERS,
                    8,
                ),
                Panel(
                    "Ill or unseen sites by ring",
                    "A ring that stands out got something that does not fit it.",
                    "none",
                    (Query(f"count by (ring) ({ILL} or {UNSEEN}) or 0 * count by (ring) ({SITES})", "{{ring}}"),),
                    width=16,
                ),
            ),
        ),
        Row(
            "What needs attention",
            (
                Panel(
                    "Alerts by site",
                    "What fires now; docs/runbooks.md has a section for each alert.",
                    "none",
                    (Query('max by (severity, alertname, ring, site) (ALERTS{alertstate="firing", ring=~"$ring"})'),),
                    Kind.TABLE,
                ),
                Panel(
                    "Longest not seen",
                    "How old the newest sample of a site is; the twenty oldest.",
                    "s",
                    (Query(f"topk(20, time() - {LAST_SEEN}\nand on (site) {SITES})", "{{site}}"),),
                    Kind.TABLE,
                ),
                Panel(
                    "Queues of the sites",
                    "How full the queue of a collector is. During an outage this stands still: the queue of the site "
                    "fills, and nobody can say so.",
                    "percentunit",
                    (
                        Query(
                            f"max by (site) (otelcol_exporter_queue_size{_OF_RINGS})\n"
                            f"/ max by (site) (otelcol_exporter_queue_capacity{_OF_RINGS})",
                            "{{site}}",
                        ),
                    ),
                ),
                Panel(
                    "Drifted features by model",
                    "Features at sites, of which the population stability index of a day is above its limit.",
                    "none",
                    (
                        Query(
                            f"count by (model) ({_PSI} > {_PSI_LIMIT})\nor 0 * count by (model) ({_PSI})",
                            "{{model}}",
                        ),
                    ),
                ),
            ),
        ),
        Row(
            "What runs",
            (
                Panel(
                    "Versions in use",
                    "At how many sites a version of a model runs.",
                    "none",
                    (
                        Query(
                            "count by (model, version) "
                            f"(count by (site, model, version) (kfp_edge_model_info{_OF_RINGS}))",
                            "{{model}} {{version}}",
                        ),
                    ),
                    Kind.STACKED,
                ),
                Panel(
                    "Images in use",
                    "At how many sites of a ring an image runs.",
                    "none",
                    (
                        Query(
                            "count by (ring, model, version, image_digest) (count by "
                            f"(site, ring, model, version, image_digest) (kfp_edge_model_info{_OF_RINGS}))"
                        ),
                    ),
                    Kind.TABLE,
                ),
                Panel(
                    "Requests by ring",
                    "Requests a second that the models of a ring answer or refuse.",
                    "reqps",
                    (Query(f"sum by (ring) (site_model:kfp_edge_requests:rate5m{_OF_RINGS})", "{{ring}}"),),
                ),
                Panel(
                    "Failed requests by ring",
                    "The share of requests that the server answers with an error of its own (HTTP 5xx).",
                    "percentunit",
                    (Query(weighted_ratio("kfp_edge_request_errors", _OF_RINGS, "ring"), "{{ring}}"),),
                ),
            ),
        ),
    ),
)

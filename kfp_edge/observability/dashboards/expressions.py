"""Parts of PromQL that several dashboards use.

`$__rate_interval` is never shorter than four scrapes, since every query states the interval of scraping. What the drift
rules record every 15 minutes is looked for over 20.
"""

from kfp_edge.observability.dashboards.contracts import Variable
from kfp_edge.observability.hub.rules.sites import LAST_SEEN

RING = Variable("ring", "label_values(kfp_edge_fleet_site_offline_after_seconds, ring)")
SITE = Variable("site", 'label_values(kfp_edge_fleet_site_offline_after_seconds{ring=~"$ring"}, site)')
MODEL = Variable("model", "label_values(kfp_edge_model_info, model)", is_single=True)

#: The sites of the chosen rings, as the repository of the fleet has them; their values say how long each may be unseen.
SITES = 'max by (site, ring) (kfp_edge_fleet_site_offline_after_seconds{ring=~"$ring"})'
ONLINE = f"time() - {LAST_SEEN} <= on (site) group_right () {SITES}"
UNSEEN = f"({SITES} unless on (site) ({ONLINE}))"
#: Sites whose alerts somebody has to look at; that a site is unseen is counted by itself.
TROUBLED = (
    'max by (site) (ALERTS{alertstate="firing", severity=~"critical|warning", site!="", '
    'alertname!~"KfpEdgeSiteUnseen|KfpEdgeQueueFilling"})'
)
ILL = f"(({ONLINE}) and on (site) {TROUBLED})"
WELL = f"(({ONLINE}) unless on (site) {TROUBLED})"


def count(vector: str) -> str:
    """Return the expression of how many series there are, 0 for none."""
    return f"count({vector}) or vector(0)"


def rate(selector: str, by: str) -> str:
    """Return the expression of the rate of counters, summed by labels."""
    return f"sum by ({by}) (rate({selector}[$__rate_interval]))"


def increase(selector: str, by: str, window: str = "1h") -> str:
    """Return the expression of the increase of counters, summed by labels."""
    return f"sum by ({by}) (increase({selector}[{window}]))"


def quantile(share: float, selector: str, by: str = "") -> str:
    """Return the expression of a quantile of the time that requests take; the selector is in braces."""
    buckets = rate(f"kfp_edge_request_duration_seconds_bucket{selector}", f"{by}, le" if by else "le")
    # > 0: without requests, it is NaN
    return f"(histogram_quantile({share:g}, {buckets}) > 0)"


def weighted_ratio(metric: str, selector: str, by: str) -> str:
    """Return the expression of a share of requests that is recorded by site and model, over several of them."""
    requests = f"site_model:kfp_edge_requests:rate5m{selector}"
    return (
        f"sum by ({by}) (site_model:{metric}:ratio_rate5m{selector} * {requests})\n/ (sum by ({by}) ({requests}) > 0)"
    )


def recorded(metric: str, selector: str) -> str:
    """Return the expression of a series of the drift rules."""
    return f"last_over_time({metric}{selector}[20m])"


def shorten_digest(vector: str) -> str:
    """Return the expression with a label `digest` that is short enough for a legend."""
    return f'label_replace({vector}, "digest", "$1", "image_digest", "(?:sha256:)?(.{{0,12}}).*")'

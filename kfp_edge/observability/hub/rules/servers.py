"""Rules about the inference servers of the sites."""

from kfp_edge.observability.hub.rules.contracts import Alert, Group, Severity
from kfp_edge.observability.hub.rules.expressions import MODEL, OF_SITES, increase, rate

_SERVER = "site, ring, job, instance"
#: The share of requests that may be refused for want of room.
_OVERLOADED = 0.01
#: The share of requests that clients may get wrong.
_REJECTED = 0.1
_MIN_REJECTED = 20
_REQUESTS = f"kfp_edge_requests_total{{{OF_SITES}}}"
#: Refusals of which the server is the cause; alerts of their own look at these.
_SERVER_REASONS = "not_ready|overloaded|too_many_.+"


def server_rules() -> Group:
    """Return the rules about servers that are evaluated every minute."""
    overloaded = rate(f"kfp_edge_overloaded_total{{{OF_SITES}}}", "10m", "site, ring")
    requests = rate(_REQUESTS, "10m", "site, ring")
    wrong = increase(f'kfp_edge_requests_total{{{OF_SITES}, code=~"4.."}}', "30m")
    refused = increase(
        f'kfp_edge_refused_requests_total{{{OF_SITES}, reason!~"{_SERVER_REASONS}"}}', "30m", "site, ring"
    )
    all_of_server = f"({refused}\n+ ({increase(_REQUESTS, '30m', 'site, ring')} or 0 * {refused}))"
    return Group(
        "kfp-edge-servers",
        "1m",
        (
            Alert(
                "KfpEdgeServerUnreachable",
                f"max by ({_SERVER}) (up{{{OF_SITES}}}) == 0",
                "5m",
                Severity.CRITICAL,
                "The collector of site {{ $labels.site }} cannot scrape {{ $labels.job }} at {{ $labels.instance }}.",
                "The site is online, and this server does not answer: it has stopped, or its port, TLS or token do not "
                "fit the configuration of the collector.",
            ),
            Alert(
                "KfpEdgeModelNotReady",
                f"max by ({_SERVER}) (kfp_edge_ready{{{OF_SITES}}}) == 0",
                "5m",
                Severity.CRITICAL,
                "The server {{ $labels.instance }} at site {{ $labels.site }} runs and takes no requests.",
                "It loads, it stops, or none of its bundles passed the self-test.",
            ),
            Alert(
                "KfpEdgeBundleRefused",
                f"max by ({_SERVER}) (kfp_edge_refused_bundles{{{OF_SITES}}}) > 0",
                "10m",
                Severity.WARNING,
                "The server {{ $labels.instance }} at site {{ $labels.site }} refuses {{ $value }} of its bundles.",
                "Another version may be served in their place; the log of the server says why they are refused.",
            ),
            Alert(
                "KfpEdgeServerOverloaded",
                f"{overloaded}\n> {_OVERLOADED} * {requests}",
                "10m",
                Severity.WARNING,
                'The server at site {{ $labels.site }} refuses {{ $value | printf "%.1f" }} requests a second.',
                f"That is more than {_OVERLOADED:.0%} of its requests over ten minutes; their clients got HTTP 503.",
            ),
            Alert(
                "KfpEdgeRequestsRejected",
                f"({wrong} >= {_MIN_REJECTED})\n/ {increase(_REQUESTS, '30m')} > {_REJECTED}",
                "15m",
                Severity.WARNING,
                "{{ $value | humanizePercentage }} of the requests to {{ $labels.model }} at site {{ $labels.site }} "
                "are invalid (HTTP 4xx).",
                "Their clients get no prediction: columns, datatypes or categories are not those of the model.",
            ),
            Alert(
                "KfpEdgeRequestsRefused",
                f"({refused} >= {_MIN_REJECTED})\n/ {all_of_server} > {_REJECTED}",
                "15m",
                Severity.WARNING,
                "{{ $value | humanizePercentage }} of the requests to the server at site {{ $labels.site }} are "
                "refused before they reach a model.",
                "`kfp_edge_refused_requests_total` has the reasons: no valid token, a wrong path, too large a body.",
            ),
        ),
    )


def idle_rules() -> Group:
    """Return the rules that look back for days, which are evaluated less often."""
    answered = f'kfp_edge_requests_total{{{OF_SITES}, code=~"2.."}}'
    return Group(
        "kfp-edge-idle",
        "5m",
        (
            Alert(
                "KfpEdgeNoInferences",
                f"{increase(answered, '1d')} == 0\n"
                f"and on (site, model) kfp_edge_model_info{{{OF_SITES}}}\n"
                f"and on (site, model) kfp_edge_model_info{{{OF_SITES}}} offset 1d\n"
                f"unless on (site, model) ({increase(answered, '1d', MODEL, '1w')} == 0)",
                "1h",
                Severity.WARNING,
                "The model {{ $labels.model }} at site {{ $labels.site }} has answered no request for a day.",
                "It is ready, so its clients do not ask. A week ago they did, or the model was not there yet.",
            ),
        ),
    )

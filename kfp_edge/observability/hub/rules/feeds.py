"""Rules about sensor feeds, which take what sensors send over MQTT to a model."""

from kfp_edge.observability.hub.rules.contracts import Alert, Group, Severity
from kfp_edge.observability.hub.rules.expressions import OF_SITES

_FEED = "site, ring, instance"
_FILLING = 0.5
#: Messages in the hour before: fewer may be a quarter of an hour apart.
_REGULAR = 12
#: The share of messages that may be unreadable, and the number below which it is not looked at.
_UNREADABLE, _MIN_UNREADABLE = 0.1, 20


def feed_rules() -> Group:
    """Return the rules about sensor feeds."""
    used, size = (f"max by ({_FEED}) (kfp_edge_feed_buffer_{name}{{{OF_SITES}}})" for name in ("bytes", "size_bytes"))
    messages = f"sum by ({_FEED}) (increase(kfp_edge_feed_messages_total{{{OF_SITES}}}[15m]))"
    an_hour_before = f"sum by ({_FEED}) (increase(kfp_edge_feed_messages_total{{{OF_SITES}}}[1h] offset 15m))"
    return Group(
        "kfp-edge-feeds",
        "2m",
        (
            # a day: what was dropped during an outage arrives afterwards, with the times of the outage
            Alert(
                "KfpEdgeFeedDropping",
                f"sum by (site, ring) (increase(kfp_edge_feed_dropped_messages_total{{{OF_SITES}}}[1d])) > 0",
                "0m",
                Severity.CRITICAL,
                "The sensor feed at site {{ $labels.site }} has dropped {{ $value | humanize }} messages.",
                "Its buffer was full at some time within the last day; they never reached the model.",
            ),
            Alert(
                "KfpEdgeFeedSessionLost",
                f"sum by (site, ring) (increase(kfp_edge_feed_lost_sessions_total{{{OF_SITES}}}[1d])) > 0",
                "0m",
                Severity.WARNING,
                "The broker at site {{ $labels.site }} has lost what it kept for the sensor feed.",
                "What sensors sent while the feed was not connected is lost: the broker keeps nothing over a restart.",
            ),
            Alert(
                "KfpEdgeFeedUnreadable",
                f"(sum by ({_FEED}) (increase(kfp_edge_feed_unreadable_messages_total{{{OF_SITES}}}[30m])) >= "
                f"{_MIN_UNREADABLE})\n"
                f"/ sum by ({_FEED}) (increase(kfp_edge_feed_messages_total{{{OF_SITES}}}[30m])) > {_UNREADABLE}",
                "15m",
                Severity.WARNING,
                "{{ $value | humanizePercentage }} of the messages of the sensors at site {{ $labels.site }} cannot be "
                "read.",
                "A sensor sends another format or another unit than the feed is configured for.",
            ),
            Alert(
                "KfpEdgeFeedBufferFilling",
                f"{used} / ({size} > 0) > {_FILLING}",
                "5m",
                Severity.WARNING,
                "The buffer of the sensor feed at site {{ $labels.site }} is {{ $value | humanizePercentage }} full.",
                "The model or the broker does not take what the sensors send; when it is full, messages are dropped.",
            ),
            Alert(
                "KfpEdgeFeedDisconnected",
                f"max by ({_FEED}) (kfp_edge_feed_connected{{{OF_SITES}}}) == 0",
                "5m",
                Severity.CRITICAL,
                "The sensor feed at site {{ $labels.site }} has no connection to its broker.",
                "The model gets nothing from the sensors.",
            ),
            Alert(
                "KfpEdgeFeedStale",
                f"{messages} == 0\nand on ({_FEED}) ({an_hour_before} >= {_REGULAR})\n"
                f"unless on ({_FEED}) kfp_edge_feed_connected == 0",
                "5m",
                Severity.WARNING,
                "The sensors at site {{ $labels.site }} have sent nothing for a quarter of an hour.",
                f"The feed is connected; in the hour before, {_REGULAR} messages or more came.",
            ),
        ),
    )

"""The metrics of the feed, in the text format of Prometheus 0.0.4; every counter begins at 0."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

#: What becomes of a message that arrives.
STORED, DUPLICATE, IGNORED = "stored", "duplicate", "ignored"
#: What becomes of a row; all but the last three are the server's words.
ANSWERED, WARMING_UP, LATE, INCOMPLETE, CONFLICTING, REFUSED, SKIPPED = (
    "answered", "warming_up", "late", "incomplete", "conflicting", "refused", "skipped",
)  # fmt: skip
#: What a connection is made to.
BROKER, SERVER = "broker", "server"


def _born(*labels: str) -> dict[str, int]:
    return dict.fromkeys(labels, 0)


@dataclass
class FeedMetrics:
    """The counters; each is changed by one thread only."""

    messages: dict[str, int] = field(default_factory=lambda: _born(STORED, DUPLICATE, IGNORED))
    unreadable: int = 0
    rows: dict[str, int] = field(
        default_factory=lambda: _born(ANSWERED, WARMING_UP, LATE, INCOMPLETE, CONFLICTING, REFUSED, SKIPPED)
    )
    predictions: int = 0
    alarms: dict[str, int] = field(default_factory=lambda: _born("on", "off"))
    connections: dict[str, int] = field(default_factory=lambda: _born(BROKER, SERVER))
    failed_requests: int = 0
    failed_publications: int = 0
    failed_writes: int = 0
    lost_sessions: int = 0
    history_replays: int = 0
    last_message: float = 0.0
    last_prediction: float = 0.0


@dataclass(frozen=True)
class FeedGauges:
    """The state of the feed at one moment.

    Sizes are in bytes, and `oldest_arrival` in seconds since 1970, None if no message waits.
    """

    is_connected: bool
    is_ready: bool
    waiting: int
    waiting_bytes: int
    buffer_size: int
    dropped: int
    damaged: int
    oldest_arrival: float | None


def exposition(metrics: FeedMetrics, gauges: FeedGauges) -> bytes:
    """Return all metrics."""
    return "".join(_lines(metrics, gauges)).encode()


def _lines(metrics: FeedMetrics, gauges: FeedGauges) -> Iterator[str]:
    age = 0.0 if gauges.oldest_arrival is None else max(0.0, time.time() - gauges.oldest_arrival)
    for name, text, by_label in (
        ("messages_total", "Messages that arrived, by what became of them.", ("status", metrics.messages)),
        ("rows_total", "Rows by what became of them.", ("status", metrics.rows)),
        ("alarms_total", "Changes of an alarm.", ("state", metrics.alarms)),
        ("connections_total", "Connections that were made; the first one counts.", ("to", metrics.connections)),
    ):
        label, values = by_label
        yield _head(name, "counter", text)
        for value, count in list(values.items()):
            yield f'kfp_edge_feed_{name}{{{label}="{value}"}} {count}\n'
    for name, text, number in (
        ("unreadable_messages_total", "Stored messages that gave no reading.", metrics.unreadable),
        ("dropped_messages_total", "Messages that the buffer had no room for.", gauges.dropped),
        ("damaged_bytes_total", "Bytes of the buffer that could not be read at the start.", gauges.damaged),
        ("predictions_total", "Predictions that the broker has acknowledged.", metrics.predictions),
        ("failed_requests_total", "Requests to the server that are repeated.", metrics.failed_requests),
        ("failed_publications_total", "Publications that the broker refused.", metrics.failed_publications),
        ("failed_writes_total", "Writes to the buffer that failed, and are repeated.", metrics.failed_writes),
        ("lost_sessions_total", "Connections at which the broker had lost the session.", metrics.lost_sessions),
        (
            "history_replays_total",
            "Rows of a group that were sent again to a server without them.",
            metrics.history_replays,
        ),
    ):
        yield from _single(name, "counter", text, number)
    for name, text, level in (
        ("connected", "1 while the broker is connected and has subscribed the feed.", int(gauges.is_connected)),
        ("ready", "1 while messages arrive and the server answers.", int(gauges.is_ready)),
        ("buffer_messages", "Records that wait in the buffer.", gauges.waiting),
        ("buffer_bytes", "Bytes that wait in the buffer.", gauges.waiting_bytes),
        ("buffer_size_bytes", "Bytes that may wait in the buffer.", gauges.buffer_size),
        ("oldest_message_age_seconds", "How long the oldest message has waited.", round(age, 3)),
        ("last_message_timestamp_seconds", "When the last message arrived.", metrics.last_message),
        ("last_prediction_timestamp_seconds", "When the last prediction was acknowledged.", metrics.last_prediction),
    ):
        yield from _single(name, "gauge", text, level)


def _single(name: str, kind: str, text: str, value: float) -> Iterator[str]:
    yield _head(name, kind, text)
    yield f"kfp_edge_feed_{name} {value}\n"


def _head(name: str, kind: str, text: str) -> str:
    return f"# HELP kfp_edge_feed_{name} {text}\n# TYPE kfp_edge_feed_{name} {kind}\n"

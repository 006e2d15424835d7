"""Takes messages in: what arrives is written to the buffer, and only then acknowledged."""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from paho.mqtt.client import MQTTMessage

from kfp_edge_serving.sensor_feed.buffer.buffer import Buffer
from kfp_edge_serving.sensor_feed.duplicates import MAX_REMEMBERED, RecentMessages
from kfp_edge_serving.sensor_feed.events import MessageEvent, decode_event
from kfp_edge_serving.sensor_feed.feed_clock import FeedClock
from kfp_edge_serving.sensor_feed.messages import MessageReader
from kfp_edge_serving.sensor_feed.metrics import DUPLICATE, IGNORED, STORED, FeedMetrics
from kfp_edge_serving.sensor_feed.state import BUFFER, FeedState

#: Messages that may wait for the disk; with more, nothing is read from the broker until there is room.
_MAX_WAITING = 10_000
#: Messages that are written at a time.
_BATCH = 1000
_RETRY_SECONDS = 1.0
_POLL_SECONDS = 0.5


class _Arrived(NamedTuple):
    event: MessageEvent
    qos: int
    is_repeated: bool
    is_retained: bool


class Intake:
    """The way from the broker into the buffer; `run` in one thread, `receive` in that of the broker's client."""

    def __init__(
        self,
        buffer: Buffer,
        reader: MessageReader,
        clock: FeedClock,
        state: FeedState,
        metrics: FeedMetrics,
        acknowledge: Callable[[int, int], None],
    ) -> None:
        self._buffer = buffer
        self._reader = reader
        self._clock = clock
        self._state = state
        self._metrics = metrics
        self._acknowledge = acknowledge
        self._waiting: queue.Queue[_Arrived] = queue.Queue(_MAX_WAITING)
        self._recent = RecentMessages()

    def remember_stored(self) -> int:
        """Remember the last messages of the buffer, and return the clock at which it ends."""
        clock = 0
        position = self._buffer.find_start(MAX_REMEMBERED)
        while entries := self._buffer.read(position):
            for entry in entries:
                event = decode_event(entry.content)
                clock = max(clock, event.clock)
                if isinstance(event, MessageEvent):
                    self._recent.remember(event, self._has_time(event.topic))
            position = entries[-1].end
        return clock

    def receive(self, message: MQTTMessage) -> None:
        """Take over a message; this waits while the disk is slow."""
        event = MessageEvent(message.topic, bytes(message.payload), time.time_ns(), self._clock.read(), message.mid)
        self._waiting.put(_Arrived(event, message.qos, message.dup, message.retain))

    def run(self, stop: threading.Event) -> None:
        """Write and acknowledge messages until `stop` is set."""
        while not stop.is_set():
            batch = self._take()
            if batch and self._store(batch, stop):
                for arrived in batch:
                    self._acknowledge(arrived.event.packet, arrived.qos)

    def _take(self) -> list[_Arrived]:
        """Return all messages that wait, after some time none."""
        batch: list[_Arrived] = []
        with suppress(queue.Empty):
            batch.append(self._waiting.get(timeout=_POLL_SECONDS))
            while len(batch) < _BATCH:
                batch.append(self._waiting.get_nowait())
        return batch

    def _store(self, batch: Sequence[_Arrived], stop: threading.Event) -> bool:
        """Write messages to the buffer, again and again where that fails; return False if `stop` is set before."""
        statuses = [self._judge(arrived) for arrived in batch]
        events = [arrived.event for arrived, status in zip(batch, statuses, strict=True) if status == STORED]
        contents = [event.encode() for event in events]
        while True:
            try:
                self._buffer.append(contents)
                break
            except OSError as error:
                self._metrics.failed_writes += 1
                self._state.set_problem(BUFFER, f"the buffer cannot be written: {error.strerror}.")
                if stop.wait(_RETRY_SECONDS):
                    return False
        self._state.clear_problem(BUFFER)
        for status in statuses:
            self._metrics.messages[status] += 1
        self._metrics.last_message = batch[-1].event.arrival / 1e9
        return True

    def _judge(self, arrived: _Arrived) -> str:
        """Return what becomes of a message, and remember it if it is stored."""
        event = arrived.event
        route = self._reader.find_route(event.topic)
        if route is None:
            return IGNORED
        has_time = route.source.time_field is not None
        # a retained message without a time is of nobody knows when, and comes again with each subscription
        if arrived.is_retained and not has_time:
            return IGNORED
        if self._recent.has(event, has_time, arrived.is_repeated):
            return DUPLICATE
        self._recent.remember(event, has_time)
        return STORED

    def _has_time(self, topic: str) -> bool:
        route = self._reader.find_route(topic)
        return route is not None and route.source.time_field is not None

"""From the buffer to predictions: rows are answered, what the model says is published, and then the rows are done."""

import threading
import time
from collections.abc import Callable, Sequence

import orjson

from kfp_edge_serving.sensor_feed.alarms import Alarms
from kfp_edge_serving.sensor_feed.answering import Answerer, Outcome, StoppedError
from kfp_edge_serving.sensor_feed.broker import Publication
from kfp_edge_serving.sensor_feed.buffer.buffer import Buffer
from kfp_edge_serving.sensor_feed.events import ClockEvent
from kfp_edge_serving.sensor_feed.feed_clock import FeedClock
from kfp_edge_serving.sensor_feed.metrics import FeedMetrics
from kfp_edge_serving.sensor_feed.row_queue import RowQueue
from kfp_edge_serving.sensor_feed.row_text import RowEncoder
from kfp_edge_serving.sensor_feed.settings import SECOND, FeedSettings
from kfp_edge_serving.sensor_feed.state import BUFFER, FeedState

_POLL_SECONDS = 0.5
_RETRY_SECONDS = 1.0

#: Publishes, and returns False if the feed stopped before the broker had acknowledged everything.
Publish = Callable[[Sequence[Publication], threading.Event], bool]


class Delivery:
    """The way from the buffer to the broker; `run` in one thread.

    Rows of one group go to a model with windows one at a time: should the feed be killed, the last one is sent again,
    which the server answers as before, while an earlier one would be late.
    """

    def __init__(
        self,
        settings: FeedSettings,
        buffer: Buffer,
        rows: RowQueue,
        answerer: Answerer,
        publish: Publish,
        clock: FeedClock,
        state: FeedState,
        metrics: FeedMetrics,
    ) -> None:
        self._settings = settings
        self._buffer = buffer
        self._rows = rows
        self._answerer = answerer
        self._publish = publish
        self._clock = clock
        self._state = state
        self._metrics = metrics
        self._encoder = RowEncoder(settings.rows)
        self._alarms = None if settings.alarms is None else Alarms(settings.alarms)

    def run(self, stop: threading.Event) -> None:
        """Deliver until `stop` is set."""
        try:
            for row in self._rows.replay():
                self._answerer.remember(row)
            while not stop.is_set():
                self._deliver_next(stop)
        except StoppedError:
            return

    def _deliver_next(self, stop: threading.Event) -> None:
        batch = self._settings.model.batch
        has_windows = self._answerer.model.has_windows
        self._rows.fill(batch)
        rows = self._rows.take(batch, is_one_of_a_group=has_windows)
        if not rows:
            self._commit()
            self._wait()
            return
        outcomes = self._answerer.answer(rows)
        publications = [publication for outcome in outcomes for publication in self._describe(outcome)]
        if not self._publish(publications, stop):
            raise StoppedError
        predictions = 0
        for outcome in outcomes:
            self._metrics.rows[outcome.status] += 1
            predictions += outcome.prediction is not None
        if predictions and self._settings.predictions is not None:
            self._metrics.predictions += predictions
            self._metrics.last_prediction = time.time()
        self._commit()

    def _describe(self, outcome: Outcome) -> list[Publication]:
        """Return what is published of a row."""
        if outcome.prediction is None:
            return []
        settings = self._settings
        head = {"model": settings.model.name, "version": outcome.version}
        if outcome.row.group:
            head["group"] = outcome.row.group
        content = {**head, "time": self._encoder.format_time(outcome.row)}
        levels = {"model": settings.model.name, "group": outcome.row.group}
        publications = []
        if settings.predictions is not None:
            payload = orjson.dumps(content | {"prediction": outcome.prediction})
            publications.append(Publication(settings.predictions.format(**levels), payload, False))
        if settings.alarms is not None and self._alarms is not None:
            is_on = self._alarms.update(outcome.row.group, outcome.prediction)
            if is_on is not None:
                state = "on" if is_on else "off"
                self._metrics.alarms[state] += 1
                value = self._alarms.find_value(outcome.prediction)
                payload = orjson.dumps(content | {"alarm": state, settings.alarms.output: value})
                publications.append(Publication(settings.alarms.topic.format(**levels), payload, True))
        return publications

    def _commit(self) -> None:
        try:
            self._buffer.commit(self._rows.position)
        except OSError as error:
            self._note_failure(error)

    def _wait(self) -> None:
        """Wait for messages, or until the clock makes a row due, which becomes a part of the log."""
        due = self._rows.due
        if due is None or not self._clock.is_running:
            self._rows.wait(_POLL_SECONDS)
            return
        now = self._clock.read()
        if now < due:
            self._rows.wait(min(_POLL_SECONDS, (due - now) / SECOND))
            return
        try:
            # not synced: after a power cut, the clock goes on from the last message
            self._buffer.append([ClockEvent(now).encode()], is_synced=False)
        except OSError as error:
            self._note_failure(error)

    def _note_failure(self, error: OSError) -> None:
        self._metrics.failed_writes += 1
        self._state.set_problem(BUFFER, f"the buffer cannot be written: {error.strerror}.")
        self._rows.wait(_RETRY_SECONDS)

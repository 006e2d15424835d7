"""The life cycle of the feed: open the buffer, connect, work in two threads, stop."""

import signal
import threading
import traceback

from kfp_edge_serving.sensor_feed.answering import Answerer
from kfp_edge_serving.sensor_feed.broker import Broker
from kfp_edge_serving.sensor_feed.buffer.buffer import Buffer, BufferInUseError
from kfp_edge_serving.sensor_feed.configuration_table import ConfigurationError
from kfp_edge_serving.sensor_feed.delivery import Delivery
from kfp_edge_serving.sensor_feed.events import MessageEvent, decode_event
from kfp_edge_serving.sensor_feed.feed_clock import FeedClock
from kfp_edge_serving.sensor_feed.health_endpoint import HealthEndpoint, HealthReport
from kfp_edge_serving.sensor_feed.intake import Intake
from kfp_edge_serving.sensor_feed.messages import MessageReader
from kfp_edge_serving.sensor_feed.metrics import FeedGauges, FeedMetrics, exposition
from kfp_edge_serving.sensor_feed.model_client import ModelClient
from kfp_edge_serving.sensor_feed.row_queue import RowQueue
from kfp_edge_serving.sensor_feed.rows import create_assembler
from kfp_edge_serving.sensor_feed.settings import FeedSettings
from kfp_edge_serving.sensor_feed.state import SUBSCRIPTION, FeedState
from kfp_edge_serving.telemetry.log import log

#: Seconds that a thread has to finish what it does when the feed stops. Nothing is lost of what it does not finish.
_STOP_SECONDS = 5.0
#: Seconds between attempts to take over the buffer.
_LOCK_SECONDS = 0.5


def run(settings: FeedSettings) -> int:
    """Feed the model until SIGTERM or SIGINT, and return the exit code.

    Raises:
        ConfigurationError: the buffer, a file or the port cannot be used.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    buffer = _open_buffer(settings, stop)
    if buffer is None:
        return 0
    feed = _Feed(settings, buffer, stop)
    feed.start()
    stop.wait()
    return feed.stop()


def _open_buffer(settings: FeedSettings, stop: threading.Event) -> Buffer | None:
    """Return the buffer, once no other feed uses it; None if `stop` is set before.

    In a rollout, the old pod ends only after the new one runs.
    """
    is_logged = False
    while True:
        try:
            return Buffer(settings.buffer)
        except BufferInUseError as error:
            if not is_logged:
                log("waiting for the buffer", "warning", error=str(error))
            is_logged = True
        if stop.wait(_LOCK_SECONDS):
            return None


class _Feed:
    """All parts of a feed."""

    def __init__(self, settings: FeedSettings, buffer: Buffer, stop: threading.Event) -> None:
        self._settings = settings
        self._stop = stop
        self._has_failed = False
        self._state = FeedState()
        self._metrics = FeedMetrics()
        self._clock = FeedClock()
        reader = MessageReader(settings.sources)
        self._buffer = buffer
        self._intake = Intake(self._buffer, reader, self._clock, self._state, self._metrics, self._acknowledge)
        clock = self._intake.remember_stored()
        self._clock.set_start(clock)
        filters = [source.topic.filter for source in settings.sources]
        try:
            self._broker = Broker(
                settings.broker,
                filters,
                self._intake.receive,
                self._clock,
                self._state,
                self._metrics,
                has_session=clock > 0,
            )
            self._client = ModelClient(settings.model, self._metrics)
        except OSError as error:
            raise ConfigurationError(f"a file for TLS cannot be used: {error}.") from error
        queue = RowQueue(self._buffer, reader, create_assembler(settings.rows), self._metrics)
        answerer = Answerer(settings, self._client, self._state, self._metrics, stop)
        self._delivery = Delivery(
            settings, self._buffer, queue, answerer, self._broker.publish, self._clock, self._state, self._metrics
        )
        works = {"intake": self._intake.run, "delivery": self._delivery.run}
        self._threads = [
            threading.Thread(target=work, args=(stop,), name=name, daemon=True) for name, work in works.items()
        ]
        report = HealthReport(self._is_alive, lambda: self._state.problems, self._expose)
        try:
            self._health = HealthEndpoint(settings.host, settings.port, report)
        except OSError as error:
            raise ConfigurationError(
                f"the port {settings.port} of {settings.host} cannot be used: {error.strerror}."
            ) from error

    def start(self) -> None:
        """Start all threads."""
        settings, buffer = self._settings, self._buffer
        if buffer.damaged:
            log("buffer damaged", "error", bytes=buffer.damaged, error="what could not be read is left out.")
        log("started", port=self._health.port, model=settings.model.name, waiting=buffer.waiting)
        threading.excepthook = self._fail  # also in the thread of paho
        for thread in self._threads:
            thread.start()
        self._broker.start()

    def stop(self) -> int:
        """Stop all threads, and return the exit code."""
        log("stopping", waiting=self._buffer.waiting)
        for thread in self._threads:
            thread.join(_STOP_SECONDS)
        # a thread of paho may wait for a name to be looked up, or for the disk
        farewell = threading.Thread(target=self._broker.stop, name="farewell", daemon=True)
        farewell.start()
        farewell.join(_STOP_SECONDS)
        self._health.close()
        log("stopped")
        return 1 if self._has_failed else 0

    def _fail(self, failure: threading.ExceptHookArgs) -> None:
        """End the feed with a thread that has failed, whatever it is: it is started again."""
        name = failure.thread.name if failure.thread else None
        error = "".join(traceback.format_exception(failure.exc_value))
        log("failed", "error", thread=name, error=error)
        self._has_failed = True
        self._stop.set()

    def _acknowledge(self, packet: int, qos: int) -> None:
        self._broker.acknowledge(packet, qos)

    def _is_alive(self) -> bool:
        return all(thread.is_alive() for thread in self._threads)

    def _expose(self) -> bytes:
        buffer = self._buffer
        gauges = FeedGauges(
            is_connected=self._clock.is_running and not self._state.has_problem(SUBSCRIPTION),
            is_ready=not self._state.problems,
            waiting=buffer.waiting,
            waiting_bytes=buffer.waiting_bytes,
            buffer_size=self._settings.buffer.size,
            dropped=buffer.dropped,
            damaged=buffer.damaged,
            oldest_arrival=_find_oldest_arrival(buffer),
        )
        return exposition(self._metrics, gauges)


def _find_oldest_arrival(buffer: Buffer) -> float | None:
    """Return when the oldest message that waits arrived, in seconds since 1970."""
    events = (decode_event(entry.content) for entry in buffer.read(buffer.committed))
    return next((event.arrival / 1e9 for event in events if isinstance(event, MessageEvent)), None)

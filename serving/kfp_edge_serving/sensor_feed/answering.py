"""Gets an answer for every row, whatever becomes of the server in the meantime."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from kfp_edge_serving.sensor_feed.history import History
from kfp_edge_serving.sensor_feed.metrics import CONFLICTING, LATE, REFUSED, WARMING_UP, FeedMetrics
from kfp_edge_serving.sensor_feed.model_client import (
    Answer,
    ModelClient,
    ModelDescription,
    RowsRefusedError,
    ServerUnavailableError,
)
from kfp_edge_serving.sensor_feed.model_fit import find_misfit
from kfp_edge_serving.sensor_feed.occasional_log import OccasionalLog
from kfp_edge_serving.sensor_feed.row_text import RowEncoder
from kfp_edge_serving.sensor_feed.rows import Row
from kfp_edge_serving.sensor_feed.settings import FeedSettings
from kfp_edge_serving.sensor_feed.state import MODEL, SERVER, FeedState

Result = TypeVar("Result")

#: Seconds between attempts to reach the server: after the first one, and at most.
_RETRY, _MAX_RETRY = 0.1, 5.0
#: Rows of the history in one request.
_HISTORY_BATCH = 1000


class StoppedError(Exception):
    """The feed is to stop before there is an answer."""


@dataclass(frozen=True)
class Outcome:
    """What became of a row; the prediction is there if it is answered."""

    row: Row
    status: str
    version: str = ""
    prediction: dict[str, Any] | None = None


class Answerer:
    """Sends rows until the server has answered them; for one thread."""

    def __init__(
        self, settings: FeedSettings, client: ModelClient, state: FeedState, metrics: FeedMetrics, stop: threading.Event
    ) -> None:
        self._settings = settings
        self._client = client
        self._state = state
        self._metrics = metrics
        self._stop = stop
        self._encoder = RowEncoder(settings.rows)
        self._history = History(settings.buffer.history)
        self._log = OccasionalLog()
        self._version = ""
        self._model: ModelDescription | None = None

    @property
    def model(self) -> ModelDescription:
        """What the model's rows have.

        Raises:
            StoppedError: the feed is to stop before the server says it.
        """
        if self._model is None:
            self._model = self._describe()
            self._history.keep_rows(self._model.rows_needed if self._model.has_windows else 0)
        return self._model

    def remember(self, row: Row) -> None:
        """Note a row that has been answered before this feed was started."""
        if self.model.has_windows:
            self._history.add(row.group, self._encoder.encode(row))

    def answer(self, rows: Sequence[Row]) -> list[Outcome]:
        """Return what becomes of each row.

        Raises:
            StoppedError: the feed is to stop before there is an answer.
        """
        texts = [self._encoder.encode(row) for row in rows]
        try:
            answer = self._predict(texts)
        except RowsRefusedError as error:
            if len(rows) > 1:  # nothing of the request is stored, so each row can be tried by itself
                return [outcome for row in rows for outcome in self.answer([row])]
            return self._explain_refusal(rows[0], error)
        if answer.version != self._version:
            self._version = answer.version
            self._model = None  # another version may need other rows
        outcomes = []
        for number, (row, text) in enumerate(zip(rows, texts, strict=True)):
            status, prediction = answer.statuses[number], answer.predictions[number]
            if status == WARMING_UP:
                status, prediction = self._send_history(row, text, answer.rows_seen[number])
            if self.model.has_windows and status != LATE:
                self._history.add(row.group, text)
            outcomes.append(Outcome(row, status, answer.version, prediction))
        return outcomes

    def _send_history(self, row: Row, text: bytes, rows_seen: int) -> tuple[str, dict[str, Any] | None]:
        """Send the rows before, if the server has fewer of a group than there are; return the row's status then.

        The row itself is sent again, for its answer; where several rows of a group may share a time it would count
        twice, so there it has none.
        """
        before = self._history.rows(row.group)
        status: tuple[str, dict[str, Any] | None] = (WARMING_UP, None)
        if len(before) < rows_seen or not before:
            return status
        self._metrics.history_replays += 1
        try:
            for start in range(0, len(before), _HISTORY_BATCH):
                self._predict(before[start : start + _HISTORY_BATCH])
            if self.model.has_unique_times:
                answer = self._predict([text])
                status = answer.statuses[0], answer.predictions[0]
        except RowsRefusedError as error:
            self._log.log("history refused", group=row.group, error=str(error))
        return status

    def _explain_refusal(self, row: Row, error: RowsRefusedError) -> list[Outcome]:
        """Return the outcome of a row that the server never takes, unless no row of this feed fits the model."""
        if error.status == 409:
            is_late = str(error).startswith("row 0 is late")
            return [Outcome(row, LATE if is_late else CONFLICTING)]
        if self._waits_for_fit():
            return self.answer([row])
        self._log.log("row refused", group=row.group, status=error.status, error=str(error))
        return [Outcome(row, REFUSED)]

    def _predict(self, rows: Sequence[bytes]) -> Answer:
        return self._until_available(lambda: self._client.predict(rows))

    def _waits_for_fit(self) -> bool:
        """Look at the model again; return whether it took no row of this feed, until now that this has ended."""
        model = self._until_available(self._client.describe)
        if find_misfit(self._settings, model) is None:
            return False
        self._model = None
        return self.model is not None

    def _describe(self) -> ModelDescription:
        """Return what the model's rows have, once this feed has them: until then, rows wait."""
        while True:
            model = self._until_available(self._client.describe)
            misfit = find_misfit(self._settings, model)
            if misfit is None:
                self._state.clear_problem(MODEL)
                return model
            self._state.set_problem(MODEL, misfit)
            self._wait(_MAX_RETRY)

    def _until_available(self, request: Callable[[], Result]) -> Result:
        """Repeat a request until the server answers it."""
        seconds = _RETRY
        while True:
            try:
                result = request()
            except ServerUnavailableError as error:
                self._metrics.failed_requests += 1
                self._state.set_problem(SERVER, str(error))
                self._wait(seconds)
                seconds = min(2 * seconds, _MAX_RETRY)
                continue
            self._state.clear_problem(SERVER)
            return result

    def _wait(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise StoppedError

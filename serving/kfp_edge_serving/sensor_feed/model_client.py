"""Asks the server for predictions, with rows of named columns over REST."""

import http.client
import json
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import orjson

from kfp_edge_serving.sensor_feed.metrics import ANSWERED, INCOMPLETE, LATE, SERVER, WARMING_UP, FeedMetrics
from kfp_edge_serving.sensor_feed.settings import ModelSettings

_TIMEOUT = 30.0
_JSON = {"Content-Type": "application/json"}
#: What the server answers to a request that it will never take: more of the same does not help.
_REFUSALS = frozenset({400, 409, 413, 415, 422, 431})
_NOT_ANSWERED = frozenset({WARMING_UP, LATE, INCOMPLETE})


class ServerUnavailableError(Exception):
    """The server gives no answer now; the message says why, in one sentence."""


class RowsRefusedError(Exception):
    """The server does not take rows; `status` is the HTTP status code, the message is the server's."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class ModelDescription:
    """What rows of a model have.

    Attributes:
        columns: The columns by whether they need a value.
        time_column: The column with the time, None if the model computes no windows.
        is_numeric_time: Whether the time is a number and no timestamp.
        has_unique_times: Whether no two rows of a group share a time.
        group_column: The column with the group, None if there is none.
        rows_needed: Rows of a group, the last one included, from which a row is answered; 1 without windows.
        outputs: The paths of what a prediction has: the name of an output, with that of a class behind a dot where the
            output has a number of each.
    """

    columns: dict[str, bool]
    outputs: frozenset[str]
    time_column: str | None = None
    is_numeric_time: bool = False
    has_unique_times: bool = True
    group_column: str | None = None
    rows_needed: int = 1

    @property
    def has_windows(self) -> bool:
        """Whether the server computes features from the rows before."""
        return self.time_column is not None


@dataclass(frozen=True)
class Answer:
    """The server's answer to rows: for each row its status, and its prediction if it is answered.

    `rows_seen` has the number of rows that the server knows of a group that warms up, by the row's position.
    """

    version: str
    statuses: list[str]
    predictions: list[dict[str, Any] | None]
    rows_seen: dict[int, int]


class ModelClient:
    """A connection to the server that is kept open, and made again where it breaks; for one thread."""

    def __init__(self, settings: ModelSettings, metrics: FeedMetrics) -> None:
        """Prepare the connection.

        Raises:
            OSError: the file of the CA cannot be read.
        """
        self._settings = settings
        self._metrics = metrics
        self._path = f"/v2/models/{quote(settings.name, safe='')}"
        self._tls = ssl.create_default_context(cafile=settings.ca_file) if settings.url.startswith("https:") else None
        self._connection: http.client.HTTPConnection | None = None

    def describe(self) -> ModelDescription:
        """Return what the model's rows have.

        Raises:
            ServerUnavailableError: the server does not say so now.
        """
        status, content = self._request("GET", self._path)
        if status != 200:
            raise ServerUnavailableError(f"the server answers {status} for the model: {_error_of(content)}")
        return _parse_description(content)

    def predict(self, rows: Sequence[bytes]) -> Answer:
        """Return the answer to rows, each a JSON object.

        Raises:
            ServerUnavailableError: there is no answer now.
            RowsRefusedError: the rows are not taken.
        """
        status, content = self._request("POST", f"{self._path}/infer", b'{"rows":[%b]}' % b",".join(rows))
        if status in _REFUSALS:
            raise RowsRefusedError(_error_of(content), status)
        if status not in (200, 202):
            raise ServerUnavailableError(f"the server answers {status}: {_error_of(content)}")
        try:
            return _parse_answer(content, len(rows))
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ServerUnavailableError(
                f"what answers at {self._settings.url} is no inference server: its predictions have another form."
            ) from error

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _request(self, method: str, path: str, body: bytes | None = None) -> tuple[int, dict[str, Any]]:
        try:
            response, content = self._exchange(method, path, body)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            reason = str(error) or type(error).__name__
            raise ServerUnavailableError(f"the server at {self._settings.url} cannot be reached: {reason}.") from error
        try:
            parsed = orjson.loads(content)
        except orjson.JSONDecodeError:
            parsed = None
        if not isinstance(parsed, dict):
            raise ServerUnavailableError(f"what answers at {self._settings.url} is no inference server.")
        return response.status, parsed

    def _exchange(self, method: str, path: str, body: bytes | None) -> tuple[http.client.HTTPResponse, bytes]:
        """Return the response and its body, on the connection that is there or on a new one.

        A server closes a connection that was idle for a while, which is no failure: the request is sent on a new one.
        """
        is_reused = self._connection is not None
        try:
            if self._connection is None:
                self._connection = self._connect()
            self._connection.request(method, path, body, self._headers())
            response = self._connection.getresponse()
            return response, response.read()
        except ConnectionError:  # also http.client.RemoteDisconnected
            if not is_reused:
                raise
        self.close()
        return self._exchange(method, path, body)

    def _connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self._settings.url)
        host = parts.hostname or ""
        connection: http.client.HTTPConnection
        if self._tls is None:
            connection = http.client.HTTPConnection(host, parts.port, timeout=_TIMEOUT)
        else:
            connection = http.client.HTTPSConnection(host, parts.port, timeout=_TIMEOUT, context=self._tls)
        connection.connect()
        self._metrics.connections[SERVER] += 1
        return connection

    def _headers(self) -> dict[str, str]:
        file = self._settings.token_file
        if file is None:
            return _JSON
        try:
            token = file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text in ASCII"
            raise ServerUnavailableError(f"the token in {file} cannot be read: {reason}.") from error
        if not token.isprintable():
            raise ServerUnavailableError(f"the token in {file} has more than one line.")
        return _JSON | {"Authorization": f"Bearer {token}"}


def _error_of(content: dict[str, Any]) -> str:
    return str(content.get("error", "no reason given"))


def _parse_description(content: dict[str, Any]) -> ModelDescription:
    try:
        outputs = frozenset(path for tensor in content["outputs"] for path in _list_paths(tensor))
        rows = content.get("rows")
        if rows is None:
            names = (name for tensor in content["inputs"] for name in _list_names(tensor, "columns"))
            return ModelDescription(dict.fromkeys(names, False), outputs)
        return ModelDescription(
            columns={column["name"]: column["required"] for column in rows["columns"]},
            outputs=outputs,
            time_column=rows["time_column"],
            is_numeric_time=rows["time_kind"] == "number",
            has_unique_times=rows["has_unique_times"],
            group_column=rows.get("group_column"),
            rows_needed=rows["rows_needed"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ServerUnavailableError(f"the server describes the model in another way: {error!r}.") from error


def _list_names(tensor: dict[str, Any], parameter: str) -> list[str]:
    """Return names that the parameters of a tensor have as the text of a JSON array."""
    return [str(name) for name in json.loads(tensor["parameters"].get(parameter, "[]"))]


def _list_paths(tensor: dict[str, Any]) -> list[str]:
    name, shape, classes = tensor["name"], tensor["shape"], _list_names(tensor, "classes")
    has_number_of_each_class = classes and len(shape) == 2 and shape[1] == len(classes)
    return [f"{name}.{each}" for each in classes] if has_number_of_each_class else [name]


def _parse_answer(content: dict[str, Any], number: int) -> Answer:
    statuses = [ANSWERED] * number
    rows_seen: dict[int, int] = {}
    for entry in content.get("not_answered", []):
        if entry["status"] not in _NOT_ANSWERED:
            raise ValueError(f"the status {entry['status']}")
        statuses[entry["row"]] = entry["status"]
        if entry["status"] == WARMING_UP:
            rows_seen[entry["row"]] = entry["rows_seen"]
    predictions: list[dict[str, Any] | None] = [None] * number
    answered = content.get("answered", range(number))
    for position, prediction in zip(answered, content.get("predictions", []), strict=True):
        if not isinstance(prediction, dict):
            raise TypeError(f"the prediction {prediction!r}")
        predictions[position] = prediction
    return Answer(str(content["model_version"]), statuses, predictions, rows_seen)

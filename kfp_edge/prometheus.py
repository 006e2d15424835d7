"""Queries of the HTTP API of Prometheus, or of what has the same API (Thanos, Mimir, VictoriaMetrics)."""

import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import requests
from pydantic import BaseModel, ValidationError

from kfp_edge.errors import MetricsError, ParameterError
from kfp_edge.git.environment import read_token
from kfp_edge.storage.tls_errors import is_without_tls

TOKEN_VARIABLE = "KFP_EDGE_METRICS_TOKEN"
CA_VARIABLE = "KFP_EDGE_METRICS_CA_FILE"
_ATTEMPTS = 3
_PAUSE = 0.5
#: Seconds to connect, and to wait for an answer: a query of Prometheus itself ends after two minutes.
_TIMEOUT = (10.0, 130.0)


@dataclass(frozen=True)
class Sample:
    """One series of an instant vector."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True)
class Series:
    """One series of a matrix: its values with their times, in order; times without a value are left out."""

    labels: Mapping[str, str]
    values: tuple[tuple[datetime, float], ...]


class _Result(BaseModel):
    """A series of a vector, which has a value, or of a matrix, which has values."""

    metric: dict[str, str]
    value: tuple[float, float] | None = None
    values: list[tuple[float, float]] = []


class _Data(BaseModel):
    result: list[_Result]


class _Answer(BaseModel):
    data: _Data | None = None
    error: str = ""
    warnings: list[str] = []


class Prometheus:
    """A Prometheus HTTP API (https://prometheus.io/docs/prometheus/latest/querying/api/).

    `KFP_EDGE_METRICS_TOKEN`, or `KFP_EDGE_METRICS_TOKEN_FILE` with the name of a file that contains it, is sent as a
    bearer token, as OpenShift's Thanos Querier wants it; `KFP_EDGE_METRICS_CA_FILE` is the server's CA certificate.
    """

    def __init__(self, url: str, setting: str = "metrics.prometheus in fleet.yaml") -> None:
        """Prepare queries; nothing is sent.

        Args:
            url: The base of the server, without `/api/v1`.
            setting: What has the URL, as error messages name it.

        Raises:
            ParameterError: an environment variable is not valid.
        """
        self._url = url.rstrip("/")
        self._setting = setting
        self._session = requests.Session()
        token = read_token(TOKEN_VARIABLE)
        if token:
            if not self._url.startswith("https://"):
                raise ParameterError(
                    f"{self._url} would get the token of {TOKEN_VARIABLE} unencrypted; set {setting} to its https:// "
                    "URL, or unset the token."
                )
            self._session.headers["Authorization"] = f"Bearer {token}"
            self._session.trust_env = False  # or the login that a netrc file has for the host would take its place
        if file := os.environ.get(CA_VARIABLE):
            if not Path(file).is_file():
                raise ParameterError(f"{CA_VARIABLE} is {file}, which is not a file.")
            self._session.verify = file

    def query(self, expression: str, at: datetime) -> list[Sample]:
        """Return an instant vector.

        Args:
            expression: PromQL.
            at: The time of evaluation.

        Raises:
            MetricsError: the server refuses the query, answers only in part or with what is no number, or cannot be
                reached.
        """
        form = {"query": expression, "time": f"{at.timestamp():.3f}"}
        samples = [Sample(each.metric, each.value[1]) for each in self._send("query", form) if each.value]
        for sample in samples:
            self._check(sample.labels, sample.value, expression)
        return samples

    def query_range(self, expression: str, start: datetime, end: datetime, step: timedelta) -> list[Series]:
        """Return the values of an instant vector at `start`, one `step` later and so on, up to `end`.

        Raises:
            MetricsError: as for `query`.
        """
        form = {
            "query": expression,
            "start": f"{start.timestamp():.3f}",
            "end": f"{end.timestamp():.3f}",
            "step": f"{step.total_seconds():.3f}",
        }
        return self._read_matrix("query_range", form)

    def query_samples(self, selector: str, at: datetime) -> list[Series]:
        """Return the samples as they were scraped, by a selector with a range, such as `up[1h]`.

        Raises:
            MetricsError: as for `query`.
        """
        return self._read_matrix("query", {"query": selector, "time": f"{at.timestamp():.3f}"})

    def _read_matrix(self, path: str, form: dict[str, str]) -> list[Series]:
        matrix = []
        for each in self._send(path, form):
            for _, value in each.values:
                self._check(each.metric, value, form["query"])
            values = tuple((datetime.fromtimestamp(at, UTC), value) for at, value in each.values)
            matrix.append(Series(each.metric, values))
        return matrix

    def _check(self, labels: Mapping[str, str], value: float, expression: str) -> None:
        # no comparison with a limit would tell that it is not met
        if not math.isfinite(value):
            text = ", ".join(f"{name}={each}" for name, each in sorted(labels.items()))
            raise MetricsError(f"{self._url} has {value} as a value of {text or 'a query'}: {expression}")

    def _send(self, path: str, form: dict[str, str]) -> list[_Result]:
        answer = self._read(self._post(path, form))
        if answer.warnings:
            raise MetricsError(f"{self._url} has only a part of the metrics: {' '.join(answer.warnings[0].split())}")
        if answer.data is None:
            raise MetricsError(f"{self._url} answers a query without data; check {self._setting}.")
        return answer.data.result

    def _post(self, path: str, form: dict[str, str]) -> requests.Response:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                # a form, as a query that names many sites is too long for a URL
                response = self._session.post(f"{self._url}/api/v1/{path}", data=form, timeout=_TIMEOUT)
            except requests.exceptions.SSLError as error:
                if is_without_tls(error):
                    raise MetricsError(
                        f"{self._url} does not answer with TLS; check {self._setting}, whether it is http:// or "
                        "another port."
                    ) from error
                raise MetricsError(
                    f"{self._url} has a TLS certificate that this machine does not trust; set {CA_VARIABLE} to a file "
                    "with its CA."
                ) from error
            except requests.RequestException as error:
                if attempt == _ATTEMPTS:
                    raise MetricsError(
                        f"{self._url} cannot be reached; check {self._setting} and the network."
                    ) from error
            else:
                if response.status_code < 500 or response.status_code == 503 or attempt == _ATTEMPTS:
                    return response
            time.sleep(_PAUSE * attempt)
        raise AssertionError("the last attempt returns or raises")

    def _read(self, response: requests.Response) -> _Answer:
        if response.status_code in (401, 403):
            raise MetricsError(
                f"{self._url} refuses access (HTTP {response.status_code}); put a valid token into {TOKEN_VARIABLE}, "
                f"or into the file that {TOKEN_VARIABLE}_FILE names.",
                response.status_code,
            )
        try:
            answer = _Answer.model_validate_json(response.content)
        except ValidationError as error:
            raise MetricsError(
                f"{self._url} is no Prometheus (HTTP {response.status_code}); check {self._setting}.",
                response.status_code,
            ) from error
        if response.status_code != 200:
            reason = " ".join(answer.error.split()) or f"HTTP {response.status_code}"
            raise MetricsError(f"{self._url} refuses a query: {reason}", response.status_code)
        return answer

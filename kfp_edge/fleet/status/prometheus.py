"""Queries of the HTTP API of Prometheus, or of what has the same API (Thanos, Mimir, VictoriaMetrics)."""

import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import requests
from pydantic import BaseModel, ValidationError

from kfp_edge.errors import MetricsError, ParameterError
from kfp_edge.git.environment import read_token

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


class _Series(BaseModel):
    metric: dict[str, str]
    value: tuple[float, float]


class _Data(BaseModel):
    result: list[_Series]


class _Answer(BaseModel):
    data: _Data | None = None
    error: str = ""
    warnings: list[str] = []


class Prometheus:
    """A Prometheus HTTP API (https://prometheus.io/docs/prometheus/latest/querying/api/).

    `KFP_EDGE_METRICS_TOKEN`, or `KFP_EDGE_METRICS_TOKEN_FILE` with the name of a file that contains it, is sent as a
    bearer token, as OpenShift's Thanos Querier wants it; `KFP_EDGE_METRICS_CA_FILE` is the server's CA certificate.
    """

    def __init__(self, url: str) -> None:
        """Prepare queries; nothing is sent.

        Args:
            url: The base of the server, without `/api/v1`.

        Raises:
            ParameterError: an environment variable is not valid.
        """
        self._url = url.rstrip("/")
        self._session = requests.Session()
        token = read_token(TOKEN_VARIABLE)
        if token:
            if not self._url.startswith("https://"):
                raise ParameterError(
                    f"{self._url} would get the token of {TOKEN_VARIABLE} unencrypted; set metrics.prometheus in "
                    "fleet.yaml to its https:// URL, or unset the token."
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
        answer = self._send({"query": expression, "time": f"{at.timestamp():.3f}"})
        if answer.warnings:
            raise MetricsError(f"{self._url} has only a part of the metrics: {' '.join(answer.warnings[0].split())}")
        if answer.data is None:
            raise MetricsError(f"{self._url} answers a query without data; check metrics.prometheus in fleet.yaml.")
        samples = [Sample(each.metric, each.value[1]) for each in answer.data.result]
        for sample in samples:
            # no comparison with a limit would tell that it is not met
            if not math.isfinite(sample.value):
                labels = ", ".join(f"{name}={text}" for name, text in sorted(sample.labels.items()))
                raise MetricsError(f"{self._url} has {sample.value} as a value of {labels or 'a query'}: {expression}")
        return samples

    def _send(self, form: dict[str, str]) -> _Answer:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                # a form, as a query that names many sites is too long for a URL
                response = self._session.post(f"{self._url}/api/v1/query", data=form, timeout=_TIMEOUT)
            except requests.exceptions.SSLError as error:
                raise MetricsError(
                    f"{self._url} has a TLS certificate that this machine does not trust; set {CA_VARIABLE} to a file "
                    "with its CA."
                ) from error
            except requests.RequestException as error:
                if attempt == _ATTEMPTS:
                    raise MetricsError(
                        f"{self._url} cannot be reached; check metrics.prometheus in fleet.yaml and the network."
                    ) from error
            else:
                if response.status_code < 500 or response.status_code == 503 or attempt == _ATTEMPTS:
                    return self._read(response)
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
                f"{self._url} is no Prometheus (HTTP {response.status_code}); check metrics.prometheus in fleet.yaml.",
                response.status_code,
            ) from error
        if response.status_code != 200:
            reason = " ".join(answer.error.split()) or f"HTTP {response.status_code}"
            raise MetricsError(f"{self._url} refuses a query: {reason}", response.status_code)
        return answer

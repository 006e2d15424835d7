"""The HTTP API of Prometheus, as far as `kfp_edge.fleet` uses it: instant queries."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

from kfp_edge.fleet.simulation.http_server import Handler, serving
from kfp_edge.fleet.simulation.metrics.evaluation import evaluate
from kfp_edge.fleet.simulation.metrics.expressions import QueryError, parse_query
from kfp_edge.fleet.simulation.metrics.store import MetricStore

_PATH = "/api/v1/query"


@contextmanager
def metrics_server(store: MetricStore) -> Iterator[str]:
    """Answer queries on a free port of this machine while the block runs; yield the URL."""

    class Metrics(_Metrics):
        metrics = store

    with serving(Metrics) as address:
        yield f"http://{address}"


class _Metrics(Handler):
    metrics: ClassVar[MetricStore]

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        self._query(url.path, url.query)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._query(urlsplit(self.path).path, body.decode())

    def _query(self, path: str, query: str) -> None:
        if path != _PATH:
            self.answer(HTTPStatus.NOT_FOUND)
            return
        parameters = parse_qs(query)
        try:
            time = float(parameters["time"][0])
            vector = evaluate(self.metrics, parse_query(parameters["query"][0]), time)
        except (KeyError, QueryError, ValueError) as error:
            reason = {"status": "error", "errorType": "bad_data", "error": str(error)}
            self.answer(HTTPStatus.BAD_REQUEST, json.dumps(reason).encode(), "application/json")
            return
        result = [{"metric": dict(labels), "value": [time, repr(value)]} for labels, value in vector.items()]
        data = {"status": "success", "data": {"resultType": "vector", "result": result}}
        self.answer(HTTPStatus.OK, json.dumps(data).encode(), "application/json")

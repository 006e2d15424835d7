"""The HTTP server of the fake backend: routes, the check of the bearer token, and fault injection."""

import json
import re
import secrets
import ssl
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from support.fake_kfp import recurring_runs, run_control
from support.fake_kfp.pages import page
from support.fake_kfp.refusals import OPENSHIFT_AI, RefusedError, router_answer
from support.fake_kfp.store import Store

JsonObject = dict[str, Any]
#: Status, body and headers; status 0 means no response at all.
Response = tuple[int, JsonObject | bytes, JsonObject]
_NO_RESPONSE: Response = (0, b"", {})
_API = "/apis/v2beta1"
_HEALTH = f"{_API}/healthz"


@dataclass(frozen=True)
class ReceivedRequest:
    """A request with the status of its response (0: none)."""

    method: str
    path: str
    status: int


@dataclass
class _Fault:
    method: str
    path: str
    times: int
    kind: str
    status: int = 0
    retry_after: int | None = None


@dataclass(frozen=True)
class _Request:
    query: dict[str, str]
    body: bytes
    headers: Message

    @property
    def json(self) -> JsonObject:
        body: JsonObject = json.loads(self.body, parse_constant=_refuse_constant)
        return body

    def file(self) -> str:
        """Return the file of a multipart upload."""
        message = BytesParser().parsebytes(f"Content-Type: {self.headers['Content-Type']}\n\n".encode() + self.body)
        (part,) = message.get_payload()
        assert part.get_param("name", header="content-disposition") == "uploadfile"
        return str(part.get_payload(decode=True), "utf-8")


def _refuse_constant(constant: str) -> None:
    raise RefusedError(400, f"invalid character {constant[0]!r} looking for beginning of value")


class FakeKfp:
    """A context manager that runs a fake backend on a free port; `store` has its objects, `requests` what it received.

    Args:
        folder: Where uploaded pipelines are written as files.
        tls: The server's certificate; plain HTTP if None.
        backend: Which server it is.
    """

    def __init__(self, folder: Path, tls: ssl.SSLContext | None = None, backend: str = OPENSHIFT_AI) -> None:
        self.store = Store(backend=backend)
        self.token = secrets.token_urlsafe()
        self.requests: list[ReceivedRequest] = []
        #: How many artifacts were described in responses: each takes OpenShift AI 0.18 s.
        self.described_artifacts = 0
        #: What the health check reports: the version of a release of KFP, "unknown" where the image has none, as all
        #: images of OpenShift AI.
        self.tag_name = "2.16.1"
        self._folder = folder
        self._faults: list[_Fault] = []
        self._signatures: dict[str, str] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def sent(self) -> list[ReceivedRequest]:
        """What it received, without the question for its version, which says nothing about anybody's pipeline."""
        return [request for request in self.requests if request.path != _HEALTH]

    def __enter__(self) -> "FakeKfp":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    # --- faults

    def fail(self, method: str, path: str, status: int, times: int = 1, retry_after: int | None = None) -> None:
        """Respond with an error to the next requests whose path starts with `path`, and do nothing.

        From 500 on it is the page of a router, as when the server is being restarted.
        """
        self._faults.append(_Fault(method, path, times, "fail", status, retry_after))

    def hang(self, method: str, path: str, times: int = 1) -> None:
        """Accept the next requests and never respond."""
        self._faults.append(_Fault(method, path, times, "hang"))

    def drop_request(self, method: str, path: str, times: int = 1) -> None:
        """Close the connections of the next requests, and do nothing."""
        self._faults.append(_Fault(method, path, times, "drop"))

    def drop_response(self, method: str, path: str, times: int = 1) -> None:
        """Execute the next requests, and close their connections without a response."""
        self._faults.append(_Fault(method, path, times, "lose"))

    def respond_with_html(self, method: str, path: str, times: int = 1) -> None:
        """Respond to the next requests with an HTML page, as a dashboard or a login does."""
        self._faults.append(_Fault(method, path, times, "html", 200))

    def expire_token(self) -> None:
        """Replace the token: the previous one is no longer accepted."""
        self.token = secrets.token_urlsafe()

    # --- responses

    def respond(self, method: str, target: str, body: bytes, headers: Message) -> Response:
        url = urlsplit(target)
        request = _Request(dict(parse_qsl(url.query)), body, headers)
        with self._lock:
            fault = self._next_fault(method, url.path)
        if fault is not None and fault.kind == "hang":
            self._stopped.wait()
        with self._lock:
            kind = fault.kind if fault is not None else ""
            no_effect = kind in ("hang", "drop")
            response = _NO_RESPONSE if no_effect else self._execute(method, url.path, request, fault)
            if kind == "lose":
                response = _NO_RESPONSE
            self.requests.append(ReceivedRequest(method, url.path, response[0]))
        return response

    def _next_fault(self, method: str, path: str) -> _Fault | None:
        for fault in self._faults:
            if fault.times and fault.method == method and path.startswith(fault.path):
                fault.times -= 1
                return fault
        return None

    def _execute(self, method: str, path: str, request: _Request, fault: _Fault | None) -> Response:
        if fault is not None and fault.kind == "fail":
            after = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
            refusal = RefusedError(fault.status, "the fake fails on request")
            answer = router_answer(fault.status) if fault.status >= 500 else refusal.answer()
            return fault.status, answer.body, {"Content-Type": answer.content_type, **after}
        if fault is not None and fault.kind == "html":
            return 200, b"<h1>Hello</h1>", {"Content-Type": "text/html"}
        if path.startswith("/store/"):
            return self._read_object(path, request)
        expected = f"Bearer {self.token}" if self.token else None  # without a login it is sent none
        if request.headers.get("Authorization") != expected:
            return 401, b"Unauthorized", {}
        try:
            return 200, self._route(method, path, request), {}
        except RefusedError as refusal:
            answer = refusal.answer(is_upload=path.startswith(f"{_API}/pipelines/upload"))
            return answer.status, answer.body, {"Content-Type": answer.content_type}

    def _route(self, method: str, path: str, request: _Request) -> JsonObject:
        for verb, pattern, handle in _ROUTES:
            if verb == method and (match := re.fullmatch(pattern, path)):
                return handle(self, request, *match.groups())
        raise RefusedError(404, "Not Found")

    def _read_object(self, path: str, request: _Request) -> tuple[int, bytes, JsonObject]:
        """Respond like an object store, which requires the signature and accepts no token next to it."""
        artifact_id = path.removeprefix("/store/")
        if request.query.get("X-Amz-Signature") != self._signatures.get(artifact_id):
            return 403, b"SignatureDoesNotMatch", {}
        if "Authorization" in request.headers:
            return 400, b"Only one auth mechanism allowed", {}
        content = self.store.content(artifact_id)
        return (404, b"NoSuchKey", {}) if content is None else (200, content, {})

    def _health(self, request: _Request) -> JsonObject:
        """Answer as `newHealthzResponse` of backend/src/apiserver/main.go."""
        return {"commit_sha": "unknown", "tag_name": self.tag_name, "multi_user": False, "pipeline_store": "database"}

    def _upload(self, request: _Request) -> JsonObject:
        text = request.file()
        pipeline = self.store.upload(request.query["name"], text)
        (self._folder / f"{request.query['name']}.yaml").write_text(text, encoding="utf-8")
        return pipeline

    def _upload_version(self, request: _Request) -> JsonObject:
        query, text = request.query, request.file()
        version = self.store.upload_version(
            query["pipelineid"], query["name"], query.get("display_name", query["name"]), text
        )
        (self._folder / f"{query['name']}.yaml").write_text(text, encoding="utf-8")
        return version

    def _artifact(self, request: _Request, artifact_id: str) -> JsonObject:
        self._check_artifact_api()
        self.described_artifacts += 1
        if artifact_id not in self.store.artifacts:
            raise RefusedError(404, f"failed to find artifact with id {artifact_id}")
        self._check_described([artifact_id])
        artifact = dict(self.store.artifacts[artifact_id])
        if request.query.get("view") == "DOWNLOAD":
            self._signatures[artifact_id] = secrets.token_hex()
            artifact["download_url"] = f"{self.url}/store/{artifact_id}?X-Amz-Signature={self._signatures[artifact_id]}"
        return artifact

    def _check_described(self, artifact_ids: Iterable[str]) -> None:
        """Fail as `generateResponseArtifact` of backend/src/apiserver/server/artifact_server.go."""
        if not self.store.undescribed.isdisjoint(artifact_ids):
            raise RefusedError(
                500,
                "InternalServerError: : encountered error parsing artifact: NotFound: Not Found\n\tstatus code: 404",
            )

    def _check_artifact_api(self) -> None:
        if not self.store.has_artifact_api:
            raise RefusedError(404, "Not Found")

    def _artifacts(self, request: _Request) -> JsonObject:
        query = request.query
        self._check_artifact_api()
        if not query.get("namespace"):
            raise RefusedError(500, "Missing required namespace parameter.")
        artifacts = [each for each in self.store.artifacts.values() if each["namespace"] == query["namespace"]]
        if not artifacts:
            raise RefusedError(500, "Internal error: Failed to find any artifacts within the specified namespace.")
        page_query = {
            "page_size": query.get("max_result_size", "20"),
            "page_token": query.get("next_page_token", ""),
            "sort_by": f"created_at {query.get('order_by', 'asc')}",
        }
        items, token = page(artifacts, page_query)
        self.described_artifacts += len(items)
        self._check_described(each["artifact_id"] for each in items)
        return {"artifacts": items, **({"next_page_token": token} if token else {})}


def _list_handler(name: str, objects: Callable[[Store], list[JsonObject]]) -> Callable[[FakeKfp, _Request], JsonObject]:
    def handle(fake: FakeKfp, request: _Request) -> JsonObject:
        items, token = page(objects(fake.store), request.query)
        return _page(name, items, token, len(objects(fake.store)))

    return handle


def _page(name: str, items: list[JsonObject], token: str, size: int) -> JsonObject:
    """Return one page as the API does, which leaves out what is empty."""
    return {
        **({name: items} if items else {}),
        **({"next_page_token": token} if token else {}),
        **({"total_size": size} if items else {}),
    }


def _list_versions(fake: FakeKfp, request: _Request, pipeline_id: str) -> JsonObject:
    items, token = page(fake.store.versions_of(pipeline_id), request.query)
    return _page("pipeline_versions", items, token, len(fake.store.versions_of(pipeline_id)))


def _delete_recurring_run(fake: FakeKfp, request: _Request, recurring_run_id: str) -> JsonObject:
    return recurring_runs.delete(fake.store, recurring_run_id, request.query.get("propagation_policy", ""))


def _set_mode(mode: str) -> Callable[[FakeKfp, _Request, str], JsonObject]:
    return lambda fake, request, recurring_run_id: recurring_runs.set_mode(fake.store, recurring_run_id, mode)


_ID = "([^/:]+)"
_ROUTES: list[tuple[str, str, Callable[..., JsonObject]]] = [
    ("GET", _HEALTH, FakeKfp._health),
    ("POST", f"{_API}/pipelines/upload", FakeKfp._upload),
    ("POST", f"{_API}/pipelines/upload_version", FakeKfp._upload_version),
    ("POST", f"{_API}/pipelines", lambda fake, request: fake.store.create_pipeline(request.json)),
    ("GET", f"{_API}/pipelines", _list_handler("pipelines", lambda store: list(store.pipelines.values()))),
    ("GET", f"{_API}/pipelines/{_ID}/versions", _list_versions),
    (
        "GET",
        f"{_API}/pipelines/{_ID}/versions/{_ID}",
        lambda fake, request, pipeline, version: fake.store.version(pipeline, version),
    ),
    ("POST", f"{_API}/experiments", lambda fake, request: fake.store.create_experiment(request.json)),
    ("GET", f"{_API}/experiments", _list_handler("experiments", lambda store: list(store.experiments.values()))),
    ("POST", f"{_API}/runs", lambda fake, request: fake.store.create_run(request.json)),
    ("GET", f"{_API}/runs", _list_handler("runs", lambda store: list(store.runs.values()))),
    ("GET", f"{_API}/runs/{_ID}", lambda fake, request, run: fake.store.read_run(run)),
    ("POST", f"{_API}/runs/{_ID}:archive", lambda fake, request, run: fake.store.archive(fake.store.runs, run)),
    (
        "POST",
        f"{_API}/experiments/{_ID}:archive",
        lambda fake, request, experiment: fake.store.archive(fake.store.experiments, experiment),
    ),
    ("POST", f"{_API}/recurringruns", lambda fake, request: recurring_runs.create(fake.store, request.json)),
    ("POST", f"{_API}/runs/{_ID}:terminate", lambda fake, request, run: run_control.terminate(fake.store, run)),
    ("POST", f"{_API}/runs/{_ID}:retry", lambda fake, request, run: run_control.retry(fake.store, run)),
    ("GET", f"{_API}/recurringruns", _list_handler("recurringRuns", lambda store: list(store.recurring_runs.values()))),
    ("DELETE", f"{_API}/recurringruns/{_ID}", _delete_recurring_run),
    ("POST", f"{_API}/recurringruns/{_ID}:enable", _set_mode("ENABLE")),
    ("POST", f"{_API}/recurringruns/{_ID}:disable", _set_mode("DISABLE")),
    ("GET", f"{_API}/artifacts", FakeKfp._artifacts),
    ("GET", f"{_API}/artifacts/{_ID}", FakeKfp._artifact),
]


def _handler(fake: FakeKfp) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, content, headers = fake.respond(self.command, self.path, body, self.headers)
            if status == 0:
                return
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            content_type = "text/plain" if isinstance(content, bytes) else "application/json"
            for name, value in {"Content-Type": content_type, "Content-Length": len(data), **headers}.items():
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = _respond

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    return Handler

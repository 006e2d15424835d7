"""The HTTP of the fake API: paths, verbs, watches, logs and statuses as Kubernetes has them."""

import base64
import json
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from support.fake_kubernetes.kinds import BY_PATH, Kind
from support.fake_kubernetes.selectors import selects
from support.fake_kubernetes.store import Change, Refused, Resource

if TYPE_CHECKING:
    from support.fake_kubernetes.fake import FakeKubernetes

_PATH = re.compile(
    r"/(?:api/(?P<core>v1)|apis/(?P<custom>[^/]+/[^/]+))(?:/namespaces/(?P<namespace>[^/]+))?"
    r"/(?P<plural>[^/]+)(?:/(?P<name>[^/]+)(?:/(?P<subresource>log|status))?)?"
)
_TRUE = ("1", "t", "T", "true", "True", "TRUE")  # what Go reads as true
_ITEM_VERBS = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_ALL_VERBS = {"GET": "list", "POST": "create", "DELETE": "deletecollection"}


class Lost(Exception):
    """The connection breaks, on demand of a test."""


@dataclass(frozen=True)
class Target:
    """What a request is about."""

    verb: str
    kind: Kind
    namespace: str
    name: str
    subresource: str
    query: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, method: str, url: str) -> "Target":
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        match = _PATH.fullmatch(parts.path)
        kind = BY_PATH.get((match["core"] or match["custom"], match["plural"])) if match else None
        if not match or not kind:
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        name = unquote(match["name"] or "")
        verb = (_ITEM_VERBS if name else _ALL_VERBS).get(method, "")
        if not verb or (kind.namespaced and not match["namespace"] and verb != "list"):
            raise Refused(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
        if verb == "list" and query.get("watch") in _TRUE:
            verb = "watch"
        if verb in ("list", "watch"):  # rules of access by name hold for these, too
            name = dict(part.split("=", 1) for part in query.get("fieldSelector", "").split(",") if part).get(
                "metadata.name", ""
            )
        return cls(verb, kind, unquote(match["namespace"] or ""), name, match["subresource"] or "", query)

    @property
    def resource(self) -> str:
        return "/".join(filter(None, (self.kind.plural, self.subresource)))

    @property
    def takes(self) -> Callable[[Mapping[str, Any]], bool]:
        return selects(self.query.get("labelSelector", ""), self.query.get("fieldSelector", ""))


class Server(ThreadingHTTPServer):
    """Ends its connections, and waits for their threads, when it is closed."""

    daemon_threads = False
    block_on_close = True

    def __init__(self, fake: "FakeKubernetes") -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.fake = fake
        self.crashes: list[BaseException] = []
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._sockets.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._sockets.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exc_info()[1]
        if error and not isinstance(error, ConnectionError):
            self.crashes.append(error)

    def close(self) -> None:
        self.shutdown()
        with self._lock:
            for connection in self._sockets:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: `requests` of the fake remembers more."""

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def _answer(self) -> None:
        self._fake = self.server.fake
        self._user, self._target = "", None
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            self._lose(done=False)
            if self._fake.faults.stalls():
                self._fake.stopped.wait()
                raise Lost
            self._serve(body)
        except Refused as refusal:
            self._send_status(refusal)
        except (Lost, ConnectionError):
            self.close_connection = True
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    def _lose(self, done: bool) -> None:
        if self._fake.faults.takes_connection(done):
            raise Lost

    def _serve(self, body: bytes) -> None:
        self._user = self._fake.user_of(self.headers.get("Authorization", ""))
        target = self._target = Target.of(self.command, self.path)
        self._fake.faults.raise_for(target.verb, target.resource)
        self._authorize(target)
        if target.verb == "watch":
            self._stream("application/json", self._events(target))
        elif target.subresource == "log":
            self._stream("text/plain", self._log(target))
        else:
            answer = getattr(self, f"_{target.verb}")(target, json.loads(body) if body else {})
            self._lose(done=True)
            self._send(201 if target.verb == "create" else 200, answer)

    def _authorize(self, target: Target) -> None:
        about = (target.verb, target.kind.group, target.resource, target.namespace, target.name)
        if self._fake.allows(self._user, *about):
            return
        full = f"{target.kind.plural}.{target.kind.group}".rstrip(".") + (f' "{target.name}"' if target.name else "")
        where = f'in the namespace "{target.namespace}"' if target.namespace else "at the cluster scope"
        raise Refused(
            403,
            "Forbidden",
            f'{full} is forbidden: User "{self._user}" cannot {target.verb} resource "{target.resource}" '
            f'in API group "{target.kind.group}" {where}',
        )

    def _get(self, target: Target, body: Any) -> Resource:
        return self._fake.store.get(target.kind.name, target.namespace, target.name)

    def _list(self, target: Target, body: Any) -> Resource:
        store = self._fake.store
        with store.changed:
            version = store.version
            resources = [each for each in store.list(target.kind.name, target.namespace) if target.takes(each)]
        after: list[str] = []
        if target.query.get("continue"):
            version, after = json.loads(base64.urlsafe_b64decode(target.query["continue"]))
            if version < self._fake.forgotten:
                raise Refused(410, "Expired", "the provided continue parameter is too old")
        rest = [each for each in resources if _place(each) > after]
        limit = int(target.query.get("limit") or 0) or len(rest)
        more = ""
        if rest[limit:]:
            more = base64.urlsafe_b64encode(json.dumps([version, _place(rest[limit - 1])]).encode()).decode()
        items = rest[:limit]
        if not target.kind.custom:  # as the API has it
            items = [{key: each[key] for key in each if key not in ("apiVersion", "kind")} for each in items]
        metadata = {"resourceVersion": str(version), **({"continue": more} if more else {})}
        about = {"apiVersion": target.kind.version, "kind": f"{target.kind.name}List"}
        return {**about, "metadata": metadata, "items": items}

    def _create(self, target: Target, body: Any) -> Resource:
        resource = _without_status(_checked(target, body))
        self._fake.check_quotas(target.kind, resource)
        return self._fake.store.create(resource)

    def _update(self, target: Target, body: Any) -> Resource:
        wanted = _checked(target, body)

        def replace(now: Resource) -> Resource:
            version = wanted["metadata"].get("resourceVersion") or now["metadata"]["resourceVersion"]
            kept = {key: now["metadata"][key] for key in ("uid", "creationTimestamp", "generation")}
            return {**wanted, "metadata": {**wanted["metadata"], **kept, "resourceVersion": version}}

        return self._change(target, replace)

    def _patch(self, target: Target, body: Any) -> Resource:
        if self.headers.get("Content-Type") != "application/merge-patch+json":
            raise Refused(415, "UnsupportedMediaType", "the fake takes application/merge-patch+json only")
        return self._change(target, lambda now: merge(now, body))

    def _change(self, target: Target, change: Callable[[Resource], Resource]) -> Resource:
        def part(now: Resource) -> Resource:
            """The status is changed through its own path, and nothing else is changed there."""
            new = change(now)
            kept, taken = (new, now) if target.subresource != "status" else (now, new)
            return {**_without_status(kept), **({"status": taken["status"]} if "status" in taken else {})}

        return self._fake.store.update(target.kind.name, target.namespace, target.name, part)

    def _delete(self, target: Target, body: Any) -> Resource:
        gone = self._fake.delete(target.kind.name, target.namespace, target.name)
        details = {"name": target.name, "kind": target.kind.plural, "uid": gone["metadata"]["uid"]}
        return {"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Success", "details": details}

    def _deletecollection(self, target: Target, body: Any) -> Resource:
        for each in filter(target.takes, self._fake.store.list(target.kind.name, target.namespace)):
            with suppress(Refused):  # gone with its owner
                self._fake.delete(target.kind.name, target.namespace, each["metadata"]["name"])
        return {"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Success"}

    def _events(self, target: Target) -> Iterator[bytes]:
        store, takes = self._fake.store, target.takes
        with store.changed:
            since = int(target.query.get("resourceVersion") or 0)
            if 0 < since < self._fake.forgotten:
                raise Refused(410, "Expired", f"too old resource version: {since} ({self._fake.forgotten})")
            resources = (
                [] if since else [each for each in store.list(target.kind.name, target.namespace) if takes(each)]
            )
            since = since or store.version
        deadline = time.monotonic() + int(target.query.get("timeoutSeconds") or 1800)

        def follow() -> Iterator[bytes]:
            at = since
            yield b"".join(_event("ADDED", each) for each in resources)
            while True:
                with store.changed:
                    self._wait(lambda at=at: store.version > at, deadline)
                    fresh, at = store.history[at:], store.version
                yield b"".join(_seen(change, target) for change in fresh)
                how = self._fake.faults.end_of(self)
                if how == "gone":
                    gone = Refused(410, "Expired", "too old resource version")
                    yield _event("ERROR", _status(gone))
                if how == "dropped":
                    raise Lost
                if how or self._fake.stopped.is_set() or time.monotonic() >= deadline:
                    return

        return follow()

    def _wait(self, news: Callable[[], bool], deadline: float) -> None:
        """Wait, with the lock held, for news, for the end of this stream, or for the deadline."""
        self._fake.store.changed.wait_for(
            lambda: news() or self._fake.faults.end_of(self) or self._fake.stopped.is_set(),
            max(0.0, deadline - time.monotonic()),
        )

    def _log(self, target: Target) -> Iterator[bytes]:
        log = self._fake.log(target.namespace, target.name, target.query.get("container", ""))
        since = target.query.get("sinceTime", "")[:19]  # the kubelet gets whole seconds
        follows, stamped = (target.query.get(key) in _TRUE for key in ("follow", "timestamps"))
        forever = time.monotonic() + 3600

        def over() -> bool:
            return log.closed or not self._fake.store.has("Pod", target.namespace, target.name)

        def follow() -> Iterator[bytes]:
            at = 0
            while True:
                with self._fake.store.changed:
                    if follows:
                        self._wait(lambda at=at: len(log.lines) > at or over(), forever)
                    fresh, at, ended = log.lines[at:], len(log.lines), over()
                shown = [(stamp, line) for stamp, line in fresh if stamp[:19] >= since]
                yield b"".join((stamp.encode() + b" " if stamped else b"") + line + b"\n" for stamp, line in shown)
                if self._fake.faults.end_of(self):
                    raise Lost
                if ended or not follows or self._fake.stopped.is_set():
                    return

        return follow()

    def _stream(self, content_type: str, parts: Iterator[bytes]) -> None:
        self._record(200)
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self._fake.faults.open_stream(self)
        try:
            for part in parts:
                if part:
                    self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")
        finally:
            self._fake.faults.close_stream(self)

    def _send_status(self, refusal: Refused) -> None:
        headers = {} if refusal.retry_after is None else {"Retry-After": f"{refusal.retry_after:g}"}
        self._send(refusal.code, _status(refusal), headers)

    def _send(self, code: int, answer: Resource, headers: Mapping[str, str] = {}) -> None:
        self._record(code)
        text = json.dumps(answer).encode()
        self.send_response(code)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(text)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def _record(self, code: int) -> None:
        if self._target:
            self._fake.record(self._user, self._target, code)


def merge(value: Any, patch: Any) -> Any:
    """JSON merge patch, RFC 7386."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(value) if isinstance(value, Mapping) else {}
    for key, part in patch.items():
        if part is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), part)
    return merged


def _checked(target: Target, body: Any) -> Resource:
    """The object that a request brings, in the namespace and of the kind that its path names."""
    about = {"apiVersion": target.kind.version, "kind": target.kind.name}
    if not isinstance(body, dict):
        raise Refused(400, "BadRequest", "the request brings no object")
    if not target.kind.custom:  # a kind of Kubernetes' own need not be named
        body = about | body
    if not about.items() <= body.items():
        raise Refused(400, "BadRequest", f"the object is no {target.kind.version} {target.kind.name}")
    metadata = dict(body.get("metadata") or {})
    if metadata.get("namespace", target.namespace) != target.namespace:
        raise Refused(400, "BadRequest", "the namespace of the object does not match that of the request")
    if target.namespace:
        metadata["namespace"] = target.namespace
    return {**body, "metadata": metadata}


def _without_status(resource: Resource) -> Resource:
    return {key: value for key, value in resource.items() if key != "status"}


def _place(resource: Resource) -> list[str]:
    return [resource["metadata"].get("namespace", ""), resource["metadata"]["name"]]


def _seen(change: Change, target: Target) -> bytes:
    """A change as the watch of a target tells it, or b"" if it does not concern it."""
    new, old = change.object, change.before
    if new["kind"] != target.kind.name or target.namespace not in ("", new["metadata"].get("namespace", "")):
        return b""
    was, is_ = old is not None and target.takes(old), change.type != "DELETED" and target.takes(new)
    kind = {(False, True): "ADDED", (True, True): "MODIFIED", (True, False): "DELETED"}.get((was, is_))
    return _event(kind, new) if kind else b""


def _event(kind: str, resource: Resource) -> bytes:
    return json.dumps({"type": kind, "object": resource}).encode() + b"\n"


def _status(refusal: Refused) -> Resource:
    return {
        "apiVersion": "v1",
        "kind": "Status",
        "metadata": {},
        "status": "Failure",
        "message": str(refusal),
        "reason": refusal.reason,
        "code": refusal.code,
    }

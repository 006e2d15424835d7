"""A fake forge as a web server with TLS: the REST API of one kind, and the repositories for git."""

import base64
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

from support.fake_forges.gitea import WORK_IN_PROGRESS, Gitea
from support.fake_forges.github import GitHub
from support.fake_forges.gitlab import GitLab
from support.fake_forges.routes import ApiRequest, Response
from support.fake_forges.schemas import ApiSchema
from support.fake_forges.store import FakeRepository, Fault
from support.git_repositories import GitHandler, GitServer, bare, create_certificate, push_from_another_clone, running

#: A token with every right.
TOKEN = "t0ken-of-the-f0rge"
_SCHEMES = {"github": "Bearer", "gitlab": "Bearer", "gitea": "token"}


@dataclass(frozen=True)
class Token:
    """What a token may do: `read`, `write`, and `issue` for labels and comments on Gitea."""

    scopes: frozenset[str] = frozenset({"read", "write", "issue"})


class Dialect(Protocol):
    """The REST API of one kind of forge."""

    api: str

    def answer(self, request: ApiRequest) -> tuple[str, Response]:
        """Return the key of the operation, and the response."""

    def refuse(self, status: int, reason: str) -> Response:
        """Return an error in the form of this forge."""

    def repository_of(self, path: str, repositories: Mapping[str, FakeRepository]) -> FakeRepository | None:
        """Return the repository that a request is about."""


_DIALECTS: dict[str, type[Any]] = {"github": GitHub, "gitlab": GitLab, "gitea": Gitea}


class ForgeServer(GitServer):
    """A forge of one kind, below `prefix`; `violations` has what did not fit its published API."""

    # a client keeps its connection open
    daemon_threads = True
    block_on_close = False

    def __init__(self, folder: Path, certificate: Path, kind: str, prefix: str = "") -> None:
        super().__init__(folder, "oauth2", TOKEN, certificate, _Handler)
        self.kind = kind
        self.prefix = prefix
        self.repositories: dict[str, FakeRepository] = {}
        self.tokens = {TOKEN: Token()}
        self.users = {name: number for number, name in enumerate(("kfp-bot", "ada", "grace", "linus", "alan"), 1)}
        self.violations: list[str] = []
        self.draft_prefixes: tuple[str, ...] = WORK_IN_PROGRESS
        self.schema = ApiSchema.load(kind)
        self.dialect: Dialect = _DIALECTS[kind](self)

    def create(self, path: str, template: Path | None = None, **options: Any) -> FakeRepository:
        """Create a repository, with the commits of another one, or with one on `main`."""
        folder = self.folder / self.prefix.strip("/") / f"{path}.git"
        if template is None:
            push_from_another_clone(bare(folder), "main", {"README.md": "sites\n"})
        else:
            shutil.copytree(template, folder)
        repository = FakeRepository(path, folder, len(self.repositories) + 1, **options)
        self.repositories[path] = repository
        return repository

    def clone_url(self, path: str) -> str:
        """Return the address of a repository for git."""
        return self.url(f"{self.prefix.strip('/')}/{path}.git".lstrip("/"))

    def web_url(self, path: str) -> str:
        """Return an address for browsers."""
        return self.url(f"{self.prefix.strip('/')}/{path}".lstrip("/"))


class _Handler(GitHandler):
    server: ForgeServer

    def is_authorized(self, login: str) -> bool:
        kind, _, value = login.partition(" ")
        token = base64.b64decode(value).decode().partition(":")[2] if kind == "Basic" else ""
        return "write" in self.server.tokens.get(token, Token(frozenset())).scopes

    def do_GET(self) -> None:
        if not urlsplit(self.path).path.startswith(f"{self.server.prefix}/api/"):
            super().do_GET()
            return
        text = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        path = urlsplit(self.path).path.removeprefix(self.server.prefix)
        repository = self.server.dialect.repository_of(path, self.server.repositories)
        if repository is not None:
            repository.requests.append((self.command, path))
        fault = self._fault(repository, path)
        if fault is None or fault.is_executed:
            response = self._respond(path, text)
        if fault is not None:
            if fault.is_dropped:
                self.close_connection = True
                self.connection.close()
                return
            response = Response(fault.status, fault.body, fault.headers)
        self._send(response)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def _fault(self, repository: FakeRepository | None, path: str) -> Fault | None:
        for fault in repository.faults if repository is not None else ():
            if fault.matches(self.command, path):
                fault.times -= 1
                return fault
        return None

    def _respond(self, path: str, text: bytes) -> Response:
        scheme, _, value = self.headers.get("Authorization", "").partition(" ")
        token = self.server.tokens.get(value) if scheme == _SCHEMES[self.server.kind] else None
        if token is None:
            return self.server.dialect.refuse(401, "")
        query = {name: values[-1] for name, values in parse_qs(urlsplit(self.path).query).items()}
        body = json.loads(text) if text else {}
        request = ApiRequest(self.command, path, query, body, token.scopes)
        operation, response = self.server.dialect.answer(request)
        problems = self.server.schema.check(operation, query, body if text else None, response)
        self.server.violations += problems
        return response

    def _send(self, response: Response) -> None:
        match response.body:
            case None:
                content = b""
            case bytes():
                content = response.body
            case _:
                content = json.dumps(response.body).encode()
        headers = {"Content-Type": "application/json;charset=utf-8", **response.headers}
        self.answer(response.status, headers, content)


@contextmanager
def forge_server(folder: Path, kind: str, prefix: str = "") -> Iterator[ForgeServer]:
    """Run a forge until the block ends, and check that all requests and answers fitted its published API."""
    with running(ForgeServer(folder, create_certificate(folder), kind, prefix)) as server:
        yield server
    assert server.violations == []

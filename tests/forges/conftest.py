"""Forges of each kind, with a repository of its own for each test."""

import itertools
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kfp_edge.forges import Forge, Proposal, open_forge
from kfp_edge.git.remote import GitRemote
from support.fake_forges import TOKEN, FakeRepository, Fault, ForgeServer, Token, forge_server
from support.git_repositories import bare, push_from_another_clone

BRANCH = "kfp-edge/press/1.4.0"
FILE = "rings/canary/press/kustomization.yaml"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Case:
    """A forge, a repository on it with a proposed branch, and our client."""

    kind: str
    server: ForgeServer
    repository: FakeRepository
    forge: Forge

    def client(self, token: str = TOKEN) -> Forge:
        """Return another client."""
        remote = GitRemote.parse(self.server.clone_url(self.repository.path))
        return open_forge(self.kind, remote, token=token, ca_file=self.server.certificate)

    def token(self, *scopes: str) -> Forge:
        """Return a client with a token that has only these scopes."""
        name = f"t0ken-{next(_numbers)}"
        self.server.tokens[name] = Token(frozenset(scopes))
        return self.client(name)

    def push(self, text: str, branch: str = BRANCH) -> str:
        """Push a commit to a branch."""
        exists = self.repository.commit_of(branch)
        files = {FILE: text}
        return push_from_another_clone(self.repository.folder, branch, files, start="" if exists else "origin/main")

    def fail(self, method: str, path: str, status: int = 500, **options: Any) -> Fault:
        """Let the next requests that match fail."""
        fault = Fault(method, path, status, **options)
        self.repository.faults.append(fault)
        return fault

    def sent(self, method: str = "") -> list[tuple[str, str]]:
        """Return the requests of one method, or all that change something."""
        return [one for one in self.repository.requests if one[0] == method or (not method and one[0] != "GET")]


@pytest.fixture(scope="session")
def _servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], ForgeServer]]:
    running: dict[str, Any] = {}

    def start(kind: str) -> ForgeServer:
        if kind not in running:
            context = forge_server(tmp_path_factory.mktemp(kind), kind)
            running[kind] = (context.__enter__(), context)
        server: ForgeServer = running[kind][0]
        return server

    yield start
    for _, context in running.values():
        context.__exit__(None, None, None)


@pytest.fixture(scope="session")
def _template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git repository with `main`, and with one commit more on the proposed branch."""
    folder = bare(tmp_path_factory.mktemp("template") / "sites.git")
    push_from_another_clone(folder, "main", {"README.md": "sites\n"})
    push_from_another_clone(folder, BRANCH, {FILE: "digest: 1\n"}, start="origin/main")
    shutil.rmtree(folder / "hooks")
    return folder


@pytest.fixture(params=["github", "gitlab", "gitea"])
def case(request: pytest.FixtureRequest, _servers: Callable[[str], ForgeServer], _template: Path) -> Case:
    """A test with this fixture runs once for each kind of forge."""
    kind = request.param
    server = _servers(kind)
    repository = server.create(f"plant/sites-{next(_numbers)}", _template, closes_on_delete=kind != "gitlab")
    remote = GitRemote.parse(server.clone_url(repository.path))
    return Case(kind, server, repository, open_forge(kind, remote, token=TOKEN, ca_file=server.certificate))


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made, none of which takes time."""
    made: list[float] = []
    monkeypatch.setattr(time, "sleep", made.append)
    return made


@pytest.fixture(autouse=True)
def _no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("TOKEN", "TOKEN_FILE", "CA_FILE")
    for name in [f"KFP_EDGE_{what}_{name}" for what in ("FORGE", "GIT") for name in names]:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def proposal() -> Proposal:
    return Proposal(BRANCH, "main", "feat: press 1.4.0 in ring canary", "# press 1.4.0\n\nF1 0.91 (0.88)\n")

"""What the REST APIs of the fakes have in common: routing, access, the look for another pull request."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from support.fake_forges.routes import ApiRequest, Response, Route
from support.fake_forges.store import FakePull, FakeRepository

if TYPE_CHECKING:
    from support.fake_forges.server import ForgeServer


class RefusedError(Exception):
    """The request is answered with this response."""

    def __init__(self, response: Response) -> None:
        super().__init__(response)
        self.response = response


class BaseDialect(ABC):
    """A REST API below `api`."""

    api: str
    routes: Sequence[Route]

    def __init__(self, server: ForgeServer) -> None:
        self.server = server

    def answer(self, request: ApiRequest) -> tuple[str, Response]:
        """Return the key of the operation, and the response."""
        path = request.path.removeprefix(self.api)
        for route in self.routes:
            if (parts := route.match(request.method, path)) is not None:
                try:
                    response = route.function(self, request, **parts)
                except RefusedError as error:
                    response = error.response
                return route.operation, response
        return f"{request.method} {request.path}", self.refuse(404, "")

    @abstractmethod
    def refuse(self, status: int, reason: str) -> Response:
        """Return an error in the form of this forge."""

    def repository_of(self, path: str, repositories: Mapping[str, FakeRepository]) -> FakeRepository | None:
        """Return the repository that a request is about, by `/repos/OWNER/NAME`."""
        parts = path.removeprefix(self.api).split("/")
        return repositories.get("/".join(parts[2:4])) if parts[1:2] == ["repos"] else None

    def repository(self, owner: str, repo: str) -> FakeRepository:
        """Return a repository as it is now in git."""
        repository = self.server.repositories.get(f"{owner}/{repo}")
        if repository is None:
            raise RefusedError(self.refuse(404, ""))
        repository.synchronize()
        return repository

    def pull(self, repository: FakeRepository, number: str) -> FakePull:
        """Return a pull request by its number in a path."""
        if not number.isdigit() or not 0 < int(number) <= len(repository.pulls):
            raise RefusedError(self.refuse(404, ""))
        return repository.pull(int(number))

"""Requests to a REST API, and which function answers them."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

Body = dict[str, Any]


@dataclass(frozen=True)
class ApiRequest:
    """A request: its path below the prefix of the forge, and what its token may do."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Body
    scopes: frozenset[str]


@dataclass(frozen=True)
class Response:
    """A response; a body of bytes is sent as it is."""

    status: int
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Route:
    """An operation, such as `GET /repos/{owner}/{repo}`; the last parts of some paths may contain slashes."""

    operation: str
    function: Callable[..., Response]
    slashes: Sequence[str] = ()

    def match(self, method: str, path: str) -> dict[str, str] | None:
        """Return the parts of a path that the operation names; None if it is another operation."""
        wanted, _, template = self.operation.partition(" ")
        if method != wanted:
            return None
        pattern = re.sub(
            r"\{(\w+)\}", lambda part: f"(?P<{part[1]}>{'.+' if part[1] in self.slashes else '[^/]+'})", template
        )
        found = re.fullmatch(pattern, path)
        return None if found is None else {name: unquote(value) for name, value in found.groupdict().items()}


def page_of(items: Sequence[Any], query: Mapping[str, str], size: int) -> tuple[list[Any], bool]:
    """Return the items of a page, and whether there is another one."""
    first = (int(query.get("page", "1")) - 1) * size
    return list(items[first : first + size]), first + size < len(items)


def link(url: str, page: int, has_next: bool) -> dict[str, str]:
    """Return the header `Link` of a page; its host is that which the forge believes to have."""
    return {"Link": f'<{url}?page={page + 1}>; rel="next"'} if has_next else {}

"""Forges as fakes over real HTTP: GitHub, GitLab and Gitea, which serve real git repositories and merge in them.

`forge_server` runs one; `server.create(...)` returns a repository, whose state tests read and set. Each request and
each answer is checked against the forge's published REST API (`schemas`), in the fields that we use.
"""

import pytest

from support.fake_forges.server import TOKEN, ForgeServer, Token, forge_server
from support.fake_forges.store import FakePull, FakeRepository, Fault, Rule

__all__ = ["TOKEN", "FakePull", "FakeRepository", "Fault", "ForgeServer", "Rule", "Token", "forge_server", "only"]


def only(*kinds: str) -> pytest.MarkDecorator:
    """Run a test that has the fixture `case` with these kinds of forges only."""
    return pytest.mark.parametrize("case", kinds, indirect=True)

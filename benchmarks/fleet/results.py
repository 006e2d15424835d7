"""What was measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from measure import Cost
from updates import Updates


class Step(StrEnum):
    """What is done with a fleet."""

    RENDER_ALL = "render all sites"
    CHECK = "check all files"
    COMMIT = "commit a release to a ring"
    STATUS = "status, as a table"
    PAGE = "status, as a page and JSON"
    RENDER_ONE = "render one site"
    KUSTOMIZE_ALL = "`kubectl kustomize` for each site"
    KUSTOMIZE_ONE = "`kubectl kustomize` for one site"


@dataclass(frozen=True)
class Fleet:
    """A fleet of one size.

    Attributes:
        new_bytes: What a clone of its branch fetches, without releases.
        used_bytes: The same after the releases.
        commits: The commits of the branch after the releases.
        touched: The files that one release changes in one ring.
    """

    count: int
    steps: Mapping[Step, Cost]
    new_bytes: int
    used_bytes: int
    commits: int
    touched: int


@dataclass(frozen=True)
class Results:
    """All fleets, the smallest first, and what a site downloads: our images, and usual ones."""

    fleets: Sequence[Fleet]
    releases: int
    ours: Updates
    usual: Updates
    load_before: float
    load_after: float

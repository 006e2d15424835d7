"""Answers of real API servers: a few in this repository, all of them in the folder of shared data.

The folder's README says how they were recorded and shortened.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.paths import SHARED

_OURS = Path(__file__).parent / "recorded"
_SHARED = SHARED / "recorded"


@dataclass(frozen=True)
class RecordedAnswer:
    """A request and what a server answered."""

    backend: str
    name: str
    method: str
    path: str
    request: Any
    status: int
    content_type: str
    answer: Any

    @property
    def test_id(self) -> str:
        return f"{self.backend}/{self.name}"


def our_answers(*names: str) -> list[RecordedAnswer]:
    """Return the recorded answers in this repository whose names begin with one of `names`."""
    return list(_read(_OURS, names))


def shared_answers(*names: str) -> list[RecordedAnswer]:
    """Return those in the folder of shared data; none if it is not there."""
    return list(_read(_SHARED, names))


def _read(folder: Path, names: tuple[str, ...]) -> Iterator[RecordedAnswer]:
    for path in sorted(folder.glob("*-[0-9]*/*.json")):
        if path.stem.startswith(names):
            record = json.loads(path.read_text(encoding="utf-8"))
            yield RecordedAnswer(
                path.parent.name,
                path.stem,
                record["method"],
                record["path"],
                record["request"],
                record["status"],
                record["headers"].get("Content-Type", ""),
                record["answer"],
            )

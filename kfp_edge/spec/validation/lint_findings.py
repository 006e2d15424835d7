"""Findings in a compiled pipeline, and the paths by which they name a location."""

import re
from dataclasses import dataclass

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, order=True)
class Finding:
    """One fault in a compiled pipeline.

    Attributes:
        code: the rule in `kfp_edge.rules`, such as `KE101`.
        path: the location in the document, such as `a.b[0].c`; empty for the whole file.
        message: what is wrong and what to do.
    """

    code: str
    path: str
    message: str


def join_path(path: str, *keys: object) -> str:
    """Return the path of a location under `path`; a key that is not a plain word is quoted."""
    for key in keys:
        text = str(key)
        plain = _PLAIN_KEY.fullmatch(text) is not None
        part = f".{text}" if plain else f'["{text}"]'
        path = text if plain and not path else path + part
    return path

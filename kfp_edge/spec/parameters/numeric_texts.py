"""Texts in compiled YAML that look like numbers to a backend.

KFP's compiler writes YAML 1.1 with PyYAML, for which `1e3`, `0o17` and `08` are texts that need no quotes. A backend
reads them as numbers, and a default of `1e3` for a text becomes 1000.
"""

import re
from collections.abc import Iterator

import yaml

_NUMBER = re.compile(
    r"[-+]?(?:(?:\.[0-9_]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?|0[bBoOxX][0-9a-fA-F_]+)", re.ASCII
)
#: A word that may be such a scalar; those in texts of several lines are found as well, and looked at closely.
_WORD = re.compile(r"(?<!\S)([-+.0-9][^\s:]*)(?=:?(?:\s|$))")


def quote_numeric_texts(text: str) -> str:
    """Return YAML that PyYAML has written, with quotes around the texts that are numbers in YAML 1.2."""
    if not any(_is_numeric_text(match[1]) for match in _WORD.finditer(text)):
        return text
    for start, end in reversed(list(_numeric_texts(text))):
        text = f"{text[:start]}'{text[start:end]}'{text[end:]}"
    return text


def _numeric_texts(text: str) -> Iterator[tuple[int, int]]:
    """Yield where each of them starts and ends."""
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.ScalarEvent) and event.style is None and _is_numeric_text(event.value):
            assert event.start_mark is not None
            assert event.end_mark is not None
            yield event.start_mark.index, event.end_mark.index


def _is_numeric_text(value: str) -> bool:
    return bool(_NUMBER.fullmatch(value)) and isinstance(yaml.safe_load(value), str)

"""Names from a user's data as labels in figures: on one line, of bounded length, and never read as markup."""

import textwrap
import unicodedata
from collections.abc import Iterable


def to_label(value: object, width: int = 40) -> str:
    """Return a name as matplotlib shows it literally; a longer one loses its middle, since names often end in a number.

    Args:
        value: The name, such as a class, a feature or a group.
        width: Largest width in Latin letters; a Chinese or Japanese character counts as two.
    """
    return _escape_math(_shorten(_to_line(value), width))


def to_labels(values: Iterable[object], width: int = 40) -> list[str]:
    """Return names as labels; where one is too long, all lose the words with which all of them begin."""
    lines = [_to_line(value) for value in values]
    if max(map(display_width, lines), default=0) > width:
        start = _find_common_words(lines)
        lines = [f"…{line[start:]}" for line in lines] if start else lines
    return [_escape_math(_shorten(line, width)) for line in lines]


def to_wrapped_label(value: object, width: int = 40, lines: int = 2) -> str:
    """Return a name in up to `lines` lines, as matplotlib shows it literally."""
    text = _shorten(_to_line(value), width * lines)
    wrapped = textwrap.wrap(text, width, break_on_hyphens=False)
    if len(wrapped) > lines:  # words of unequal length need more lines than the same number of letters
        wrapped = [text[start : start + width] for start in range(0, len(text), width)]
    return _escape_math("\n".join(wrapped))


def display_width(text: str) -> int:
    """Return the width of a text in Latin letters."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def _find_common_words(lines: list[str]) -> int:
    """Return the number of letters of the words with which all lines begin, if there is more than one line."""
    first, last = min(lines), max(lines)
    length = next((n for n, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), 0)
    return first.rfind(" ", 0, length) + 1


def _to_line(value: object) -> str:
    line = " ".join(str(value).split())
    # an SVG file may not hold control characters
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in line)


def _shorten(text: str, width: int) -> str:
    if display_width(text) <= width:
        return text
    kept = len(text)
    while display_width(text[: kept - kept // 2] + text[len(text) - kept // 2 :]) > width - 1:
        kept -= 1
    return f"{text[: kept - kept // 2]}…{text[len(text) - kept // 2 :]}"


def _escape_math(text: str) -> str:
    """Escape dollar signs: matplotlib sets what stands between two of them as a formula."""
    return text.replace("$", r"\$")

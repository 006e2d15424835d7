"""Titles and bodies within the limits of a forge."""

import re

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})", re.MULTILINE)


def fit_title(title: str, limit: int) -> str:
    """Return a title as one line of at most `limit` characters."""
    line = " ".join(title.split())
    return line if len(line) <= limit else f"{line[: limit - 1].rstrip()}…"


def fit_body(body: str, limit: int, suffix: str = "") -> str:
    """Return a Markdown text, with `suffix` behind it, of at most `limit` characters.

    What does not fit is cut off at the end of a line, and the last paragraph says so: code blocks and `<details>` that
    were open are closed before it.
    """
    if len(body) + len(suffix) <= limit:
        return body + suffix
    notice = f"*Cut off here: this text has {len(body):,} characters, and the forge takes {limit:,}.*\n"
    # room for what closes the open blocks
    kept = body[: limit - len(notice) - len(suffix) - 200]
    kept = kept[: kept.rfind("\n") + 1] or f"{kept}\n"
    return f"{kept}{_closing(kept)}\n{notice}{suffix}"


def _closing(text: str) -> str:
    """Return what ends the code block and the `<details>` in which a text stops."""
    fence = ""
    for match in _FENCE.finditer(text):
        if not fence:
            fence = match[1]
        elif match[1].startswith(fence):
            fence = ""
    details = min(text.count("<details") - text.count("</details>"), 10)
    return (f"{fence}\n" if fence else "") + "\n</details>\n" * details

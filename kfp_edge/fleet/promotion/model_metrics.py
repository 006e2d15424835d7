"""The metrics of a release, from the message of the commit that brought it first, beside those of another one."""

import math
import re

from kfp_edge.metrics.catalog import Direction, find_metric

#: The trailer of a commit with the SHA-256 of the data that its model was trained on.
DATA_TRAILER = "Data-SHA256"

#: The summary of a block in the text of a pull request: the message of the commit that brought a release.
SUMMARY_TITLE = "What the release says"
DATA_ROW = "data (sha256)"

_DETAILS = re.compile(rf"<summary>{SUMMARY_TITLE}</summary>\n\n(.*?)\n\n</details>", re.DOTALL)
_DATA_ROW = re.compile(rf"^\| {re.escape(DATA_ROW)} \| [^|]* \| ([0-9a-f]{{64}}) \|$", re.MULTILINE)
_METRIC = re.compile(r"^- (?P<name>\w+): (?P<text>(?P<value>-?[\d,.]+(?:e[+-]?\d+)?)\b.*)$", re.MULTILINE)
_TRAILER = re.compile(r"^[A-Z][A-Za-z0-9-]+: .*$")


def summary_of(message: str) -> str:
    """Return a commit message without its subject and its trailers."""
    lines = message.splitlines()[1:]
    while lines and (not lines[-1].strip() or _TRAILER.match(lines[-1])):
        lines.pop()
    return "\n".join(lines).strip()


def read_body(body: str) -> str:
    """Return what the text of a pull request says about its release, in the form of a commit message."""
    summary = _DETAILS.search(body)
    data = _DATA_ROW.search(body)
    trailer = f"\n\n{DATA_TRAILER}: {data[1]}" if data else ""
    return f"\n\n{summary[1]}{trailer}" if summary else ""


def read_data_hash(message: str) -> str:
    """Return the SHA-256 of the data that a release was trained on, from its commit message."""
    match = re.search(rf"^{DATA_TRAILER}: ([0-9a-f]{{64}})$", message, re.MULTILINE)
    return match[1] if match else "unknown"


def read_metrics(message: str) -> dict[str, tuple[float, str]]:
    """Return value and text of each metric that a commit message lists, by its name."""
    return {
        match["name"]: (float(match["value"].replace(",", "")), match["text"])
        for match in _METRIC.finditer(message)
        if find_metric(match["name"]) is not None
    }


def compare_metrics(old: str, new: str) -> list[tuple[str, ...]]:
    """Return the metrics of two releases as rows: name, before, after, and what that means.

    Args:
        old: The message of the commit that brought the version that runs; empty if it is not known.
        new: That of the new version.
    """
    before, after = read_metrics(old), read_metrics(new)
    none = (float("nan"), "unknown")
    return [
        (name, before.get(name, none)[1], text, _describe_change(name, before.get(name, none)[0], value))
        for name, (value, text) in after.items()
    ]


def _describe_change(name: str, before: float, after: float) -> str:
    metric = find_metric(name)
    direction = metric.direction if metric else Direction.NONE
    if before == after:
        return "the same"
    if direction is Direction.NONE or math.isnan(before):
        return direction
    is_better = (after > before) == (direction is Direction.HIGHER)
    return f"{'better' if is_better else '**worse**'} ({direction})"

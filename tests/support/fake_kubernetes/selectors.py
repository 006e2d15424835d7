"""Label and field selectors, as the API reads them in a query."""

import re
from collections.abc import Callable, Mapping
from typing import Any

_SET = re.compile(r"(\S+)\s+(in|notin)\s+\(([^)]*)\)$")


def selects(labels: str, fields: str) -> Callable[[Mapping[str, Any]], bool]:
    """A predicate on objects; an empty selector takes all."""
    wanted = [part.strip() for part in re.split(r",(?![^(]*\))", labels) if part.strip()]
    named = [part.split("=", 1) for part in fields.split(",") if part]

    def takes(resource: Mapping[str, Any]) -> bool:
        has = resource["metadata"].get("labels") or {}
        return all(_fits(part, has) for part in wanted) and all(_field(resource, key) == value for key, value in named)

    return takes


def _fits(part: str, labels: Mapping[str, str]) -> bool:
    if match := _SET.match(part):
        key, word, values = match.groups()
        return (labels.get(key) in [value.strip() for value in values.split(",")]) == (word == "in")
    if "!=" in part:
        key, value = part.split("!=")
        return labels.get(key) != value
    if "=" in part:
        key, value = re.split("==?", part)
        return labels.get(key) == value
    return part.removeprefix("!") not in labels if part.startswith("!") else part in labels


def _field(resource: Mapping[str, Any], path: str) -> Any:
    value: Any = resource
    for key in path.rstrip("=").split("."):
        value = value.get(key, "") if isinstance(value, Mapping) else ""
    return value

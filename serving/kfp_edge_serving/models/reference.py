"""Reading of `reference.json`: what training data, and answers for held-out rows, were like."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from kfp_edge_serving.json_types import JsonObject


@dataclass(frozen=True)
class ValueReference:
    """The values of a column or output: a histogram of numbers, or the frequencies of categories.

    `counts[i]` lie in `[edges[i], edges[i+1])`, the last bin closed; both are empty if there is no histogram. `missing`
    is None if nothing is known.
    """

    edges: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()
    frequencies: Mapping[str, int] = field(default_factory=dict, hash=False)
    missing: int | None = None


@dataclass(frozen=True)
class OutputReference:
    """The answers for held-out rows: numbers by what they are, and how often each class was predicted.

    `probability` among the numbers is that of the class `positive`. Both are empty in bundles of earlier versions.
    """

    values: Mapping[str, ValueReference] = field(default_factory=dict, hash=False)
    classes: Mapping[str, int] = field(default_factory=dict, hash=False)
    positive: str = ""


def parse_features(document: JsonObject) -> dict[str, ValueReference]:
    """Return the statistics of the features by their names.

    Raises:
        ValueError, TypeError, KeyError, AttributeError: the document does not follow the contract.
    """
    return {name: _parse_values(name, values) for name, values in document["features"].items()}


def parse_outputs(document: JsonObject) -> OutputReference:
    """Return the statistics of the answers; the errors are those of `parse_features`."""
    outputs = document.get("outputs")
    if outputs is None:
        return OutputReference()
    values = {name: _parse_values(name, values) for name, values in outputs.get("values", {}).items()}
    return OutputReference(values, dict(outputs.get("classes") or {}), outputs.get("positive") or "")


def _parse_values(name: str, document: JsonObject) -> ValueReference:
    missing = document.get("missing", 0)
    if "edges" not in document:
        return ValueReference(frequencies=dict(document["counts"]), missing=missing)
    edges = tuple(float(edge) for edge in document["edges"])
    counts = tuple(int(count) for count in document["counts"])
    if len(counts) != max(0, len(edges) - 1):
        raise ValueError(f"'{name}' has {len(edges)} edges and {len(counts)} counts")
    return ValueReference(edges, counts, missing=missing)

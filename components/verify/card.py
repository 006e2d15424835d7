"""The model card: what a person should know before they trust the model (Mitchell et al., FAT* 2019)."""

from collections.abc import Iterable, Mapping
from typing import Any

from kfp_edge.ml.bundle import Column, Signature
from kfp_edge.reports.check import Check
from kfp_edge.reports.html import number

#: Checks whose measured value depends on the machine; a bundle's bytes must not.
_MACHINE = ("latency",)


def model_card(signature: Signature, checks: Iterable[Check], *, rows: int, **about: Any) -> str:
    """Return the card as Markdown; `about` are the fields of the manifest."""
    columns = [column for tensor in signature.inputs for column in tensor.columns]
    parts = [
        f"# {about['name']} {about['version']}",
        f"A model for {about['task']}, trained on {rows:,} rows (data sha256 `{about['data_sha256']}`"
        + (f", code `{about['revision']}`)." if about["revision"] else ")."),
        "## Inputs",
        _table(("feature", "units", "seen in training"), ((c.name, c.units or "", _seen(c)) for c in columns)),
        "## Measured on held-out rows",
        _table(("metric", "value"), ((name, number(value)) for name, value in sorted(about["metrics"].items()))),
        "## Required",
        _table(
            ("check", "required"),
            ((check.name, check.required) for check in checks if not check.name.startswith(_MACHINE)),
        ),
        "## Limits",
        "Outside the ranges and categories seen in training its answers are guesses. "
        "It was not verified on other machines than those in its data.",
        "## Made with",
        _versions(about["tools"]),
    ]
    return "\n\n".join(parts) + "\n"


def _seen(column: Column) -> str:
    if column.categories is not None:
        return ", ".join(column.categories)
    low, high = column.range or (float("nan"), float("nan"))
    return f"{number(low)} to {number(high)}"


def _versions(tools: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {release}" for name, release in sorted(tools.items())) + "."


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)

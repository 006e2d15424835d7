"""The model card: what a person should know before they trust the model (Mitchell et al., FAT* 2019).

It is part of the bundle: whatever changes its text changes the hash of every bundle.
"""

from collections.abc import Iterable, Mapping

from kfp_edge.ml.bundle import Column, ModelInfo, Signature
from kfp_edge.reports.check import Check
from kfp_edge.reports.html import format_number
from kfp_edge.reports.markdown import format_table

#: Checks whose requirement concerns the machine; they are left out, since a bundle must not depend on it.
_MACHINE_CHECKS = ("latency",)


def write_model_card(signature: Signature, checks: Iterable[Check], info: ModelInfo, *, rows: int) -> str:
    """Return the card as Markdown; `rows` is the number of training rows."""
    model = info.identity
    columns = [column for tensor in signature.inputs for column in tensor.columns]
    sections = [
        f"# {model.name} {model.version}",
        f"A model for {info.task}, trained on {rows:,} rows (data sha256 `{info.data_sha256}`"
        + (f", code `{model.revision}`)." if model.revision else ")."),
        "## Inputs",
        format_table(
            ("feature", "units", "seen in training"),
            ((column.name, column.units or "", _format_training_values(column)) for column in columns),
        ),
        "## Measured on held-out rows",
        *([] if info.positive is None else [f"The positive class is `{info.positive}`."]),
        format_table(
            ("metric", "value", "95 % interval"),
            (
                (name, format_number(value), _format_interval(info.intervals.get(name)))
                for name, value in sorted(info.metrics.items())
            ),
        ),
        "## Required",
        format_table(
            ("check", "required"),
            ((check.name, check.required) for check in checks if not check.name.startswith(_MACHINE_CHECKS)),
        ),
        "## Limits",
        "Outside the ranges and categories seen in training its answers are guesses. "
        "It was not verified on other machines than those in its data.",
        "## Made with",
        _format_versions(info.tools),
    ]
    return "\n\n".join(sections) + "\n"


def _format_training_values(column: Column) -> str:
    if column.categories is not None:
        return ", ".join(column.categories)
    low, high = column.range or (float("nan"), float("nan"))
    return f"{format_number(low)} to {format_number(high)}"


def _format_interval(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f"{interval[0]:.4g} to {interval[1]:.4g}"


def _format_versions(tools: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(tools.items())) + "."

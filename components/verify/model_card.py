"""The model card: what a person should know before they trust the model (Mitchell et al., FAT* 2019).

It is part of the bundle: whatever changes its text changes the hash of every bundle.
"""

from collections.abc import Iterable, Mapping

from kfp_edge.ml.bundle import Column, ModelInfo, Signature
from kfp_edge.model_report.facts import ModelFacts
from kfp_edge.reports.check import Check
from kfp_edge.reports.markdown import format_table, to_plain_text
from kfp_edge.reports.numbers import format_number
from kfp_edge.tasks.registry import TASKS

#: Checks whose requirement concerns the machine; they are left out, since a bundle must not depend on it.
_MACHINE_CHECKS = ("latency",)


def write_model_card(signature: Signature, checks: Iterable[Check], info: ModelInfo, facts: ModelFacts) -> str:
    """Return the card as Markdown: the facts of the reports, the inputs, what was required, and the limits."""
    model = info.identity
    columns = [column for tensor in signature.inputs for column in tensor.columns]
    code = f" by the code of commit `{model.revision}`" if model.revision else ""
    rows = TASKS[info.task].name_fitted_rows(facts.train)
    blocks = [
        f"# {model.name} {model.version}",
        f"A model for {TASKS[info.task].title}, {facts.fitted_rows}{code}.",
        *facts.to_markdown(),
        "## Inputs",
        format_table(
            ("feature", "units", f"range or categories in the {rows}", "may be missing"),
            (
                (
                    to_plain_text(column.name),
                    to_plain_text(column.units or ""),
                    _format_training_values(column),
                    "no" if column.required else "yes",
                )
                for column in columns
            ),
        ),
        "## Required",
        format_table(
            ("check", "required"),
            (
                (to_plain_text(check.name), to_plain_text(check.required))
                for check in checks
                if not check.name.startswith(_MACHINE_CHECKS)
            ),
        ),
        "## Limits",
        "Outside the ranges and categories seen in training its answers are guesses. "
        "It was not verified on machines other than those in its data.",
        "## Made with",
        _format_versions(info.tools),
    ]
    return "\n\n".join(blocks) + "\n"


def _format_training_values(column: Column) -> str:
    if column.categories is not None:
        return to_plain_text(", ".join(category or "(missing)" for category in column.categories))
    if column.range is None:
        return "no value"
    low, high = column.range
    return f"{format_number(low)} to {format_number(high)}"


def _format_versions(tools: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(tools.items())) + "."

"""The Markdown report about the data: its columns and its split, or every violation."""

from collections.abc import Sequence

import pandas as pd

from kfp_edge.components.ingest.schema import Violation
from kfp_edge.components.ingest.sources import SourceTable
from kfp_edge.ml.dataset import Dataset
from kfp_edge.reports.markdown import format_table, to_plain_text


def format_summary(source: SourceTable, train: Dataset, test: Dataset, split: str) -> str:
    """Return the report about data that was accepted."""
    roles = train.roles
    whole = pd.concat([train.frame, test.frame], ignore_index=True)
    lines = [
        f"# Data: {to_plain_text(source.name)}",
        "",
        format_table(
            ("", "value"),
            [
                ("sha256", f"`{source.sha256}`"),
                ("rows", f"{len(whole):,}"),
                ("columns in the source", source.table.num_columns),
                ("features", f"{len(roles.numeric)} numeric, {len(roles.categorical)} categorical"),
                ("task", roles.task),
                ("split", split),
                ("rows to train on", f"{len(train.frame):,}"),
                ("rows to test on", f"{len(test.frame):,}"),
            ],
        ),
    ]
    if source.remarks:
        lines += ["", "## How it was read", "", *(f"- {to_plain_text(remark)}" for remark in source.remarks)]
    if roles.target:
        lines += ["", f"## Target: {to_plain_text(roles.target)}", "", _format_shares(train, test)]
    lines += ["", "## Features", "", _format_features(whole, roles.features)]
    return "\n".join(lines) + "\n"


def format_refusal(source: SourceTable, violations: Sequence[Violation]) -> str:
    """Return the report about data that violates its rules: every violation, with an example of each."""
    rows = [
        (
            to_plain_text(violation.column),
            to_plain_text(violation.problem),
            violation.rows or "",
            violation.example_row or "",
            to_plain_text(violation.example),
        )
        for violation in violations
    ]
    lines = [
        f"# Refused: {to_plain_text(source.name)}",
        "",
        f"{source.table.num_rows:,} rows, sha256 `{source.sha256}`. Rows are counted from 1, without the header.",
        "",
        format_table(("column", "what is wrong", "rows", "example: row", "value"), rows),
    ]
    return "\n".join(lines) + "\n"


def _format_shares(train: Dataset, test: Dataset) -> str:
    counts = [pd.Series(part.y()).value_counts() for part in (train, test)]
    rows = [
        (
            to_plain_text(label),
            *(f"{count.get(label, 0):,} ({count.get(label, 0) / count.sum():.2%})" for count in counts),
        )
        for label in sorted(set(counts[0].index) | set(counts[1].index))
    ]
    return format_table(("class", "train", "test"), rows)


def _format_features(frame: pd.DataFrame, names: Sequence[str]) -> str:
    rows = []
    for name in names:
        column = frame[name]
        if column.dtype == object:
            kind, low, high = f"text, {column.nunique()} values", "", ""
        else:
            kind, low, high = "number", f"{column.min():g}", f"{column.max():g}"
        rows.append((to_plain_text(name), kind, int(column.isna().sum()), low, high))
    return format_table(("column", "kind", "missing", "min", "max"), rows)

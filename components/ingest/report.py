"""The Markdown report about the data: its columns and its split, or every violation."""

from collections.abc import Sequence

import pandas as pd

from kfp_edge.components.ingest.columns.schema import Violation
from kfp_edge.components.ingest.reading.sources import SourceTable
from kfp_edge.ml.dataset import Dataset
from kfp_edge.model_report.data_tables import describe_common_groups, describe_parts
from kfp_edge.reports.markdown import format_table, to_plain_text
from kfp_edge.reports.numbers import format_number
from kfp_edge.tasks.registry import task_of
from kfp_edge.wording import count_of


def format_summary(source: SourceTable, shape: tuple[int, int], train: Dataset, test: Dataset) -> str:
    """Return the report about data that was accepted; `shape` is the number of rows and of columns of the source."""
    roles, preparation = train.roles, train.preparation
    facts: list[tuple[str, object]] = [
        ("sha256", f"`{source.sha256}`"),
        ("rows in the source", f"{shape[0]:,}"),
        ("columns in the source", f"{shape[1]:,}"),
        ("features", f"{len(roles.numeric):,} numeric, {len(roles.categorical):,} categorical"),
        ("task", roles.task),
        ("target", to_plain_text(roles.target) or "none: the data has no labels"),
    ]
    if preparation.made_labels:
        facts.append(("labels", to_plain_text(preparation.made_labels)))
    if roles.positive is not None:
        reason = [preparation.positive_reason] if preparation.positive_reason else []
        facts.append(("positive class", to_plain_text(": ".join([str(roles.positive), *reason]))))
    facts.append(("split", to_plain_text(f"{preparation.split}: {preparation.split_reason}")))
    facts += [(to_plain_text(name), value) for name, value in describe_common_groups(train, test)]
    lines = [f"# Data: {to_plain_text(source.name)}", "", format_table(("", "value"), facts)]
    if preparation.warnings:
        lines += ["", "## Warnings", "", *(f"- {to_plain_text(warning)}." for warning in preparation.warnings)]
    for block in describe_parts(train, test, task_of(train).list_counted_classes(train, test)).to_markdown():
        lines += ["", block]
    if preparation.left_out:
        rows = [(to_plain_text(reason), f"{count:,}") for reason, count in preparation.left_out.items()]
        lines += ["", "Rows in neither part:", "", format_table(("why", "rows"), rows)]
    if source.remarks:
        lines += ["", "## How it was read", "", *(f"- {to_plain_text(remark)}" for remark in source.remarks)]
    lines += ["", "## Features, in all rows of both parts", "", _format_features(train, test)]
    return "\n".join(lines) + "\n"


def format_refusal(source: SourceTable, violations: Sequence[Violation]) -> str:
    """Return the report about data that violates its rules: every violation, with an example of each."""
    rows = [
        (
            to_plain_text(violation.column),
            to_plain_text("; ".join(filter(None, (violation.problem, violation.remedy)))),
            f"{violation.rows:,}" if violation.rows else "",
            " of ".join(filter(None, (str(violation.example_row or ""), to_plain_text(violation.example_file)))),
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


def _format_features(train: Dataset, test: Dataset) -> str:
    rows = []
    for name in train.roles.features:
        # column by column, so that the rows of both parts are not in memory a second time
        column = pd.concat([train.frame[name], test.frame[name]], ignore_index=True)
        if column.dtype == object:
            kind, low, high = f"text, {count_of(column.nunique(), 'value')}", "", ""
        else:
            kind, low, high = "number", format_number(column.min()), format_number(column.max())
        rows.append((to_plain_text(name), kind, f"{int(column.isna().sum()):,}", low, high))
    return format_table(("column", "kind", "missing", "min", "max"), rows)

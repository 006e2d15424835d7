"""The Markdown report about the data: its columns and its split, or every violation."""

from collections.abc import Sequence

import pandas as pd

from kfp_edge.components.ingest.columns.schema import Violation
from kfp_edge.components.ingest.reading.sources import SourceTable
from kfp_edge.ml.dataset import Dataset
from kfp_edge.reports.markdown import format_table, to_plain_text


def format_summary(source: SourceTable, shape: tuple[int, int], train: Dataset, test: Dataset) -> str:
    """Return the report about data that was accepted; `shape` is the number of rows and of columns of the source."""
    roles, preparation = train.roles, train.preparation
    facts: list[tuple[str, object]] = [
        ("sha256", f"`{source.sha256}`"),
        ("rows in the source", f"{shape[0]:,}"),
        ("columns in the source", shape[1]),
        ("features", f"{len(roles.numeric)} numeric, {len(roles.categorical)} categorical"),
        ("task", roles.task),
        ("target", to_plain_text(roles.target) or "none"),
    ]
    if roles.positive is not None:
        facts.append(("positive class", to_plain_text(roles.positive)))
    facts.append(("split", to_plain_text(f"{preparation.split}: {preparation.split_reason}")))
    lines = [f"# Data: {to_plain_text(source.name)}", "", format_table(("", "value"), facts)]
    if preparation.warnings:
        lines += ["", "## Warnings", "", *(f"- {to_plain_text(warning)}." for warning in preparation.warnings)]
    lines += ["", "## Training and test rows", "", _format_parts(train, test)]
    if preparation.left_out:
        rows = [(to_plain_text(reason), f"{count:,}") for reason, count in preparation.left_out.items()]
        lines += ["", "Rows in neither part:", "", format_table(("why", "rows"), rows)]
    if source.remarks:
        lines += ["", "## How it was read", "", *(f"- {to_plain_text(remark)}" for remark in source.remarks)]
    lines += ["", "## Features", "", _format_features(train, test)]
    return "\n".join(lines) + "\n"


def format_refusal(source: SourceTable, violations: Sequence[Violation]) -> str:
    """Return the report about data that violates its rules: every violation, with an example of each."""
    rows = [
        (
            to_plain_text(violation.column),
            to_plain_text("; ".join(filter(None, (violation.problem, violation.remedy)))),
            violation.rows or "",
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


def _format_parts(train: Dataset, test: Dataset) -> str:
    """Return a table of what is in each part: rows, groups, times, classes."""
    roles, parts = train.roles, (train, test)
    rows: list[tuple[object, ...]] = [("rows", *(f"{len(part.frame):,}" for part in parts))]
    if roles.group:
        names = [set(part.frame[roles.group].unique()) for part in parts]
        label = f"groups of {to_plain_text(roles.group)}"
        rows.append((label, *(f"{len(name):,}" for name in names)))
        rows.append(("groups that are in both parts", *[f"{len(names[0] & names[1]):,}"] * 2))
    if roles.time:
        rows.append(("first time", *(_format_time(part.frame[roles.time].min()) for part in parts)))
        rows.append(("last time", *(_format_time(part.frame[roles.time].max()) for part in parts)))
    if roles.target:
        counts = [pd.Series(part.y()).value_counts() for part in parts]
        for label in sorted(set(counts[0].index) | set(counts[1].index)):
            shares = (f"{count.get(label, 0):,} ({count.get(label, 0) / count.sum():.2%})" for count in counts)
            rows.append((f"class {to_plain_text(label)}", *shares))
    return format_table(("", "training", "test"), rows)


def _format_time(time: object) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S}" if isinstance(time, pd.Timestamp) else f"{time}"


def _format_features(train: Dataset, test: Dataset) -> str:
    rows = []
    for name in train.roles.features:
        # column by column, so that the rows of both parts are not in memory a second time
        column = pd.concat([train.frame[name], test.frame[name]], ignore_index=True)
        if column.dtype == object:
            kind, low, high = f"text, {column.nunique()} values", "", ""
        else:
            kind, low, high = "number", f"{column.min():g}", f"{column.max():g}"
        rows.append((to_plain_text(name), kind, int(column.isna().sum()), low, high))
    return format_table(("column", "kind", "missing", "min", "max"), rows)

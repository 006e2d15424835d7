"""The Markdown page about the data: what came in and how it was cut, or all that is wrong with it."""

from collections.abc import Iterable, Sequence

import pandas as pd

from kfp_edge.components.ingest.read import SourceTable
from kfp_edge.components.ingest.schema import Violation
from kfp_edge.ml.dataset import Dataset


def summary(source: SourceTable, train: Dataset, test: Dataset, split: str) -> str:
    """Return the page about data that was accepted."""
    roles = train.roles
    whole = pd.concat([train.frame, test.frame], ignore_index=True)
    lines = [
        f"# Data: {_cell(source.name)}",
        "",
        *_table(
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
    if roles.target:
        lines += ["", f"## Target: {_cell(roles.target)}", "", *_shares(train, test)]
    lines += ["", "## Features", "", *_features(whole, roles.features)]
    return "\n".join(lines) + "\n"


def refusal(source: SourceTable, violations: Sequence[Violation]) -> str:
    """Return the page about data that breaks its rules: every violation, with an example of each."""
    rows = [
        (_cell(each.column), _cell(each.what), each.rows or "", each.example_row or "", _cell(each.example))
        for each in violations
    ]
    lines = [
        f"# Refused: {_cell(source.name)}",
        "",
        f"{source.table.num_rows:,} rows, sha256 `{source.sha256}`. Rows are counted from 1, without the header.",
        "",
        *_table(("column", "what is wrong", "rows", "example: row", "value"), rows),
    ]
    return "\n".join(lines) + "\n"


def _shares(train: Dataset, test: Dataset) -> list[str]:
    counts = [pd.Series(part.y()).value_counts() for part in (train, test)]
    rows = [
        (_cell(label), *(f"{count.get(label, 0):,} ({count.get(label, 0) / count.sum():.2%})" for count in counts))
        for label in sorted(set(counts[0].index) | set(counts[1].index))
    ]
    return _table(("class", "train", "test"), rows)


def _features(frame: pd.DataFrame, names: Sequence[str]) -> list[str]:
    rows = []
    for name in names:
        column = frame[name]
        if column.dtype == object:
            kind, low, high = f"text, {column.nunique()} values", "", ""
        else:
            kind, low, high = "number", f"{column.min():g}", f"{column.max():g}"
        rows.append((_cell(name), kind, int(column.isna().sum()), low, high))
    return _table(("column", "kind", "missing", "min", "max"), rows)


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(str(cell) for cell in line)} |" for line in lines]


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")

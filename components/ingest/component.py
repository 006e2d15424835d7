"""The KFP component definition of `ingest`."""

from kfp.dsl import Dataset, Markdown, Output

from kfp_edge.runtime.component import component


@component
def ingest(
    train_data: Output[Dataset],
    test_data: Output[Dataset],
    report: Output[Markdown],
    data: str = "synthetic:ai4i?rows=10000&seed=0",
    target: str = "",
    positive: str = "",
    drop: list[str] = [],
    task: str = "classification",
    time_column: str = "",
    group_column: str = "",
    windows: str = "",
    failures: str = "",
    failure_columns: dict = {},
    horizon: str = "",
    repair_time: str = "",
    run_to_failure: bool = False,
    max_rul: str = "",
    rolling_windows: list[int] = [],
    columns: dict = {},
    time_range: dict = {},
    quarantined: list[dict] = [],
    split: str = "auto",
    test_fraction: float = 0.2,
    seed: int = 0,
    separator: str = "",
    decimal: str = "",
    thousands: str = "",
    encoding: str = "",
    missing_values: list[str] = [],
    time_format: str = "",
    time_zone: str = "",
    column_names: list[str] = [],
):
    """Read a table, check it, and split it into training and test rows without leakage.

    Args:
        data: The table, CSV (also `.tsv`, `.csv.gz` or one in a `.zip`) or Parquet: a file, a folder, `s3://BUCKET/KEY`
            or `https://...`; or generated rows, `synthetic:ai4i?rows=10000&seed=0`.
        target: Name of the column of labels or, for `regression`, of numbers. If empty, the failure windows or the
            generated data provide it; an anomaly task needs none.
        positive: The class that the metrics of two classes describe, such as `Fail` or `1`. If empty, the rarer one.
            In an anomaly task the class that is anomalous.
        drop: Names of the columns to leave out, such as identifiers and whatever gives the label away.
        task: What the model learns: `classification` (predict the label), `anomaly` (learn what is normal from the rows
            labelled 0, or from all rows without labels; labels are otherwise used only to measure), or `regression`
            (predict a number, such as the remaining useful life).
        time_column: Name of the column with the time of each row. It orders the rows and is not a feature.
        group_column: Name of the column with the machine, site, run or batch of each row. It is not a feature. If empty
            and the data is a folder of several files, each file is a group.
        windows: JSON file, a path or a URI, with the known failure windows: `[[start, end], ...]` for all rows, or
            `{name: [[start, end], ...]}` by the name of a group, or else of the data's file. Rows inside them, both
            ends included, are labelled 1. An anomaly task trains on the rows before the first window that has normal
            rows before it. Where the time column holds numbers, so do the windows.
        failures: Failure log, a table such as `data` with one row for each failure: time, machine and perhaps the end
            of the repair. A row is labelled 1 where its machine, the group, fails within `horizon` after it, else 0;
            with `task=regression` the target is the time until the next failure.
        failure_columns: Names of the columns of the failure log, such as `{machine: machineID, time: failed_at,
            repaired: running_again}`. Those that are not named are found by their names or by what they hold, which the
            log states; `repaired` is used only if it is named.
        horizon: How long before a failure a row is labelled 1: `24h`, `7d`, `30min`, or a number such as `30` in the
            units of a time column that holds numbers, such as cycles.
        repair_time: How long a machine does not run after a failure without a `repaired` time, such as `4h`; its rows
            are left out. If empty, until the end of the first gap in its rows that begins within `horizon`.
        run_to_failure: True if each group is a run that ends with its failure, such as those of NASA C-MAPSS. A row is
            labelled 1 within `horizon` before the last row of its group; with `task=regression` the target is the time
            until then, in hours or in units of the time column.
        max_rul: Highest remaining useful life of a regression; a longer one counts as this, such as `125` cycles or
            `30d`. If empty, there is no limit.
        rolling_windows: Lengths of rolling windows in rows, such as `[6, 36]`. Each adds mean, std, min, max and diff
            (value minus mean) of every numeric column as features, within a group. Rows before the longest window is
            full are left out.
        columns: Expected properties of columns, such as `{"pressure": {"dtype": "number", "min": 0, "max": 400}}`; the
            README of ingest lists them. Data that violates them is refused.
        time_range: Which rows are taken by their time, such as `{start: -180d, recent: 30d}`; the README of ingest has
            the keys. With `recent`, the last rows before the recent period and those of that period are both held out.
            Parquet files of a folder that are older than `start` are not read, where the rows are the same without.
        quarantined: Rows of broken sensors as `drift` found them, such as `[{site: hall-7, start: 2026-10-01T00:00:00Z,
            end: 2026-10-09T00:00:00Z}]`, which are left out, too: those of the group with the name of the site.
        split: How test rows are chosen: `random` (the same fraction of each class), `time` (the last rows), `group`
            (whole groups), `group-and-time` (groups that training never has, later than all training rows), or `auto`:
            what the time and group columns allow without a leak. The report states the choice and the reason.
        test_fraction: Fraction of the rows that is held out for testing.
        seed: Seed of the random split and of the training. The same data and seed give the same bytes of the model.
        separator: Character between the columns of a CSV, or `tab` or `space`. If empty, the header shows it.
        decimal: Decimal mark, `.` or `,`, of columns whose numbers could be read in two ways, such as `1,234`.
        thousands: Separator of thousands in such columns: `,`, `.`, `'` or `space`.
        encoding: Encoding of a CSV, such as `cp1252` or `utf-16-le`. If empty, UTF-8, or what a byte order mark states.
        missing_values: What stands for a missing value in every column, such as `["?", "na", "-200"]`. Empty cells,
            `NA`, `N/A`, `NaN` and `null` always do.
        time_format: Format of the times in `time_column` for `strptime`, such as `%d.%m.%Y %H:%M`. If empty, ISO 8601
            or the only format that fits every row.
        time_zone: Time zone of times without an offset from UTC, an IANA name such as `Europe/Berlin`. If empty, they
            are in UTC.
        column_names: Names of the columns of a CSV without a header.

    Returns:
        train_data: Rows to train on, as one Parquet file.
        test_data: Held-out rows to test on, as one Parquet file.
        report: Summary of the data; if it is refused, every violation with an example.
    """
    parameters = dict(locals())
    from kfp_edge.runtime.stage import stage

    with stage("ingest") as warnings:
        from pathlib import Path

        from kfp_edge.components.ingest.ingest import ingest as ingest_data
        from kfp_edge.components.ingest.options import IngestOptions

        options = IngestOptions.from_parameters(parameters)
        parts = ingest_data(options, Path(train_data.path), Path(test_data.path), Path(report.path))
        warnings.extend(parts.train.preparation.warnings)
        for artifact, part in ((train_data, parts.train), (test_data, parts.test)):
            artifact.metadata.update(rows=len(part.frame), sha256=part.sha256)

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
    drop: list[str] = [],
    task: str = "classification",
    time_column: str = "",
    group_column: str = "",
    windows: str = "",
    rolling_windows: list[int] = [],
    columns: dict = {},
    split: str = "auto",
    test_fraction: float = 0.2,
    seed: int = 0,
):
    """Read data, check it, and cut it into a part to train and a part to test on, without leakage.

    Args:
        data: CSV or Parquet: a file or a folder, s3:// or https://; or synthetic:ai4i?rows=N&seed=N.
        target: The label column. Empty: none, or that of the failure windows or of the synthetic data.
        drop: Columns to leave out.
        task: classification, or anomaly (labels 0 and 1, only to measure with).
        time_column: The column that says when; not a feature.
        group_column: The column that says which machine, site or batch; not a feature.
        windows: JSON with the known failure windows, [[start, end], ...] or as NAB writes it.
        rolling_windows: Numbers of rows to look back on, each adding five features a numeric column.
        columns: What to expect: {name: {"dtype", "min", "max", "values", "missing"}}.
        split: random (stratified), time, group; auto takes time or group when such a column is named.
        test_fraction: Share of the rows, or of the groups, to test on.
        seed: Draws the rows or groups to test on.

    Outputs:
        train_data: Rows to learn from.
        test_data: Rows to measure on.
        report: What the data holds; when it is refused, every violation with an example.
    """
    from kfp_edge.runtime.stage import stage

    with stage("ingest"):
        from pathlib import Path

        from kfp_edge.components.ingest.ingest import IngestRequest
        from kfp_edge.components.ingest.ingest import ingest as ingest_data

        request = IngestRequest(
            data=data,
            target=target,
            drop=tuple(drop),
            task=task,
            time_column=time_column,
            group_column=group_column,
            windows=windows,
            rolling_windows=tuple(int(rows) for rows in rolling_windows),
            columns=columns,
            split=split,
            test_fraction=test_fraction,
            seed=seed,
        )
        parts = ingest_data(request, Path(train_data.path), Path(test_data.path), Path(report.path))
        for artifact, part in ((train_data, parts.train), (test_data, parts.test)):
            artifact.metadata.update(rows=len(part.frame), sha256=part.sha256)

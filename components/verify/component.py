"""The KFP component definition of `verify`."""

from kfp.dsl import HTML, Artifact, Dataset, Input, Metrics, Model, Output

from kfp_edge.runtime.component import component


@component
def verify(
    model: Input[Model],
    onnx_model: Input[Model],
    train_data: Input[Dataset],
    test_data: Input[Dataset],
    bundle: Output[Artifact],
    metrics: Output[Metrics],
    report: Output[HTML],
    model_name: str,
    model_version: str,
    gates: dict = {},
    false_alarm_rate: float = 0.001,
    champion: str = "",
    champion_margin: float = 0.01,
    tolerance: float = 1e-5,
    max_model_mb: float = 50.0,
    max_latency_ms: float = 5.0,
    may_be_missing: list[str] = [],
    revision: str = "",
):
    """Check a model in every way that is possible before it is served, then write its bundle.

    Args:
        model: The original: a skops file, which is compared with the ONNX model row by row, or an ONNX file, which is
            not.
        onnx_model: The model to ship, written by `export`.
        train_data: The rows that the model was trained on; their distribution becomes the reference for drift.
        test_data: Held-out rows, for metrics, comparison and the recorded samples.
        model_name: Name of the model, a DNS label such as `press-failure`. It names the bundle, the image and the
            folder at the edge.
        model_version: Version of the model, such as `1.4.0`: the tag of the released image, and part of the name of the
            review branch.
        gates: Limits of metrics on the held-out rows, such as `{"roc_auc": 0.9, "recall(Fail)": 0.7}`. A number is the
            lowest value, or the highest where less is better; `">=0.9"`, `"<=0.01"`, `">0.5"`, `"<1"` and `"80%"` are
            understood too. Other metrics have the default gates of the task; `"off"` switches one off.
        false_alarm_rate: Fraction of normal rows that may raise an alarm, above 0 and at most 0.5; for `anomaly` only.
        champion: Bundle of the model now in use, a path or a URI; the new model may not be worse. Empty: no comparison.
        champion_margin: By how much a metric may be worse than the champion's: absolute for shares such as `roc_auc`,
            relative for metrics in units such as `rmse`, of which 0.01 is one percent.
        tolerance: Largest allowed absolute difference of a probability or score from the original model; of a predicted
            number, in standard deviations of the target.
        max_model_mb: Largest allowed ONNX file, in MB.
        max_latency_ms: Upper bound of the 99th percentile of a single-row inference's latency, in milliseconds, when
            the model is verified.
        may_be_missing: Columns that may be missing at the edge although the data never lacks them, such as a sensor
            that can drop out; without being named here, such a column is required.
        revision: Git commit of the training code, recorded in the bundle and in the labels of the image. `kfp-edge run`
            and `kfp-edge submit` fill in that of the checkout.

    Returns:
        bundle: A folder with the model, its signature, manifest, samples, reference statistics and model card.
        metrics: Metrics on the held-out rows.
        report: Every check with the measured and the required value; written even if a check fails.
    """
    from kfp_edge.runtime.stage import log_metrics, stage

    with stage("verify") as warnings:
        from pathlib import Path

        from kfp_edge.components.verify.verify import Requirements
        from kfp_edge.components.verify.verify import verify as verify_model
        from kfp_edge.ml import dataset
        from kfp_edge.ml.bundle import ModelIdentity
        from kfp_edge.model_selection.record import METADATA_KEY, parse_record
        from kfp_edge.reports import check

        result = verify_model(
            Path(model.path),
            Path(onnx_model.path),
            dataset.load(Path(train_data.path)),
            dataset.load(Path(test_data.path)),
            Requirements(
                gates,
                false_alarm_rate,
                tolerance,
                max_model_mb,
                max_latency_ms,
                champion,
                champion_margin,
                may_be_missing,
            ),
            ModelIdentity(model_name, model_version, revision),
            report=Path(report.path),
            bundle=Path(bundle.path),
            training=parse_record(model.metadata.get(METADATA_KEY, "")),
        )
        warnings.extend(result.measurement.warnings)
        bundle.metadata[check.METADATA_KEY] = check.write_checks(result.checks)
        log_metrics(metrics, result.metrics)

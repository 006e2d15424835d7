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
    gates: dict,
    champion: str = "",
    champion_margin: float = 0.01,
    tolerance: float = 1e-5,
    max_model_mb: float = 50.0,
    max_latency_ms: float = 5.0,
    revision: str = "",
):
    """Check a model in every way that can be checked before it runs, then write its bundle.

    Args:
        model: The original: a skops file, compared row by row; or ONNX, where there is nothing to compare.
        onnx_model: The model to ship, as `export` wrote it.
        train_data: The rows it was trained on, described for drift.
        test_data: Held-out rows: metrics, parity and the recorded samples come from them.
        model_name: A DNS label; it names the image and the folder at the edge.
        model_version: A tag of at most 63 characters.
        gates: Metric name to the minimum that it must reach.
        champion: URI of the bundle now in use, or empty.
        champion_margin: How far below the champion a metric may be.
        tolerance: Largest absolute difference of a probability or score from the original.
        max_model_mb: Largest ONNX file, in MB.
        max_latency_ms: Largest 99th percentile of a single-row inference, in milliseconds.
        revision: Commit of the training code.

    Outputs:
        bundle: A folder: model, signature, manifest, samples, reference and model card.
        metrics: Numbers on the held-out rows.
        report: Every check with what was measured and required; written also when a check fails.
    """
    from kfp_edge.runtime.stage import log_metrics, stage

    with stage("verify"):
        from pathlib import Path

        from kfp_edge.components.verify.verify import Requirements
        from kfp_edge.components.verify.verify import verify as verify_model
        from kfp_edge.ml import dataset
        from kfp_edge.ml.bundle import ModelIdentity

        result = verify_model(
            Path(model.path),
            Path(onnx_model.path),
            dataset.load(Path(train_data.path)),
            dataset.load(Path(test_data.path)),
            Requirements(gates, tolerance, max_model_mb, max_latency_ms, champion, champion_margin),
            ModelIdentity(model_name, model_version, revision),
            report=Path(report.path),
            bundle=Path(bundle.path),
        )
        log_metrics(metrics, result.metrics)

"""The KFP face of `verify`."""

from kfp.dsl import HTML, Artifact, Dataset, Input, Metrics, Model, Output

from kfp_edge.component import component


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
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from kfp_edge import dataset, storage
    from kfp_edge.components.verify import report as pages
    from kfp_edge.components.verify.verify import Requirements, judge, write
    from kfp_edge.onnx_model import OnnxModel
    from kfp_edge.stage import stage

    with stage("verify"), TemporaryDirectory() as scratch:
        wanted = Requirements(
            gates=gates,
            tolerance=tolerance,
            max_model_mb=max_model_mb,
            max_latency_ms=max_latency_ms,
            champion=storage.fetch(champion, Path(scratch)) if champion else None,
            champion_margin=champion_margin,
        )
        data = Path(onnx_model.path).read_bytes()
        candidate = OnnxModel.load(Path(onnx_model.path))
        verdict = judge(Path(model.path), candidate, len(data), dataset.load(Path(test_data.path)), wanted)
        pages.write(Path(report.path), model_name, model_version, verdict)
        for name, value in verdict.metrics.items():
            metrics.log_metric(name, value)
        about = {"name": model_name, "version": model_version, "revision": revision}
        learned = dataset.load(Path(train_data.path))
        write(Path(bundle.path), candidate, data, learned, verdict, tolerance=tolerance, **about)

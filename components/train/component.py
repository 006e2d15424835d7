"""The KFP face of `train`."""

from kfp.dsl import HTML, ClassificationMetrics, Dataset, Input, Metrics, Model, Output

from kfp_edge.runtime.component import component


@component
def train(
    train_data: Input[Dataset],
    test_data: Input[Dataset],
    model: Output[Model],
    metrics: Output[Metrics],
    curves: Output[ClassificationMetrics],
    report: Output[HTML],
    seed: int = 0,
    false_alarm_rate: float = 0.001,
):
    """Train a failure predictor or an anomaly detector, as the data's roles say.

    Args:
        train_data: Rows to learn from, written by `ingest`.
        test_data: Held-out rows to measure on.
        seed: Same data and same seed give the same model bytes.
        false_alarm_rate: Anomaly only: share of normal rows that may raise an alarm.

    Outputs:
        model: A scikit-learn Pipeline saved with skops.
        metrics: Numbers on the held-out rows.
        curves: ROC curve and confusion matrix (empty where there are no labels).
        report: One self-contained HTML page with plots.
    """
    from kfp_edge.runtime.stage import log_metrics, stage

    with stage("train"):
        from pathlib import Path

        from kfp_edge.components.train import report as pages
        from kfp_edge.components.train.train import fit, measure, threads_for
        from kfp_edge.ml import dataset
        from kfp_edge.ml.skops_files import save_model

        learned, held_out = dataset.load(Path(train_data.path)), dataset.load(Path(test_data.path))
        with threads_for(learned):
            estimator = fit(learned, seed=seed, false_alarm_rate=false_alarm_rate)
            result = measure(estimator, held_out)
            pages.write(Path(report.path), estimator, held_out, result, seed=seed)
        save_model(estimator, Path(model.path))
        model.metadata["format"] = "skops"
        log_metrics(metrics, result.metrics)
        if result.roc is not None:
            curves.log_roc_curve(*result.roc)
            curves.log_confusion_matrix(*result.confusion)

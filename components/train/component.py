"""The KFP component definition of `train`."""

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
    estimator: str = "auto",
    hyperparameters: dict = {},
    quantiles: list[float] = [],
    threshold: dict = {},
    calibration: str = "",
    folds: int = 0,
    tune: int = 0,
    tune_metric: str = "",
    tune_minutes: float = 0.0,
):
    """Train a failure predictor, an anomaly detector or a regression, by the task that `ingest` wrote into the data.

    Args:
        train_data: Rows to train on, written by `ingest`.
        test_data: Held-out rows to measure on, written by `ingest`.
        seed: Seed of the random split and of the training. The same data and seed give the same bytes of the model.
        false_alarm_rate: Fraction of normal rows that may raise an alarm, above 0 and at most 0.5; for `anomaly` only.
        estimator: What is trained, such as `random_forest`, `logistic_regression` or `one_class_svm`; the README of
            `train` lists all of each task. `auto` is `hist_gradient_boosting`, or `isolation_forest` for `anomaly`.
        hyperparameters: Hyperparameters of the estimator by scikit-learn's names, such as `{max_depth: 6}`.
        quantiles: Levels of quantiles that are predicted beside the number, such as `[0.1, 0.9]`, between which 80 % of
            the true values should lie; for `regression` only.
        threshold: What the alarm threshold of a classifier of two classes is chosen for: costs of a missed positive and
            of a false alarm, `{missed_cost: 2000, false_alarm_cost: 200}`, a recall, `{recall: 0.9}`, a false-alarm
            rate, `{false_alarm_rate: 0.01}`, or the threshold itself, `{probability: 0.3}`. The label is then the
            positive class where its probability is above the threshold. Empty: the most probable class.
        calibration: `sigmoid` corrects the probabilities of a classifier on training rows that the model has not seen,
            so that they agree with the observed shares. Empty: as the estimator gives them.
        folds: Number of folds of a cross-validation on the training rows, from 2 to 20: the report and the model card
            then have each metric's mean over the folds with its interval. 0 stands for none.
        tune: Number of trials in a search for better hyperparameters of the estimator, measured on folds of the
            training rows (5 where `folds` is 0). Those given in `hyperparameters` are kept. 0 stands for none.
        tune_metric: Metric that the search optimizes, such as `average_precision` or `recall(Fail)`. If empty, it is
            `roc_auc`, or `r2` for `regression`.
        tune_minutes: Minutes after which the search stops with the best trial so far. 0 stands for no limit.

    Returns:
        model: A scikit-learn Pipeline saved with skops.
        metrics: Metrics on the held-out rows, and with folds `cv_mean(METRIC)`, `cv_low(METRIC)`, `cv_high(METRIC)`.
        curves: ROC curve and confusion matrix; empty if there are no labels.
        report: One self-contained HTML page for a reviewer: warnings, data and split, metrics with intervals, plots.
    """
    parameters = dict(locals())
    from kfp_edge.runtime.stage import log_metrics, stage

    with stage("train") as warnings:
        from pathlib import Path

        from kfp_edge.components.train.parameters import read_selection_options, read_training_options
        from kfp_edge.components.train.run import train_and_save

        options, selection = read_training_options(parameters), read_selection_options(parameters)
        rows = Path(train_data.path), Path(test_data.path)
        trained = train_and_save(*rows, options, selection, model=Path(model.path), report=Path(report.path))
        warnings.extend(trained.warnings)
        model.metadata.update(trained.metadata)
        log_metrics(metrics, trained.metrics)
        if trained.curves is not None:
            trained.curves.log_to(curves)

"""The training report: what a reviewer has to know about the model, and the plots of its task."""

from pathlib import Path

from kfp_edge.estimators.estimator import Estimator, Hyperparameters
from kfp_edge.estimators.registry import choose_estimator
from kfp_edge.ml.bundle import TaskName
from kfp_edge.ml.dataset import Dataset
from kfp_edge.model_report.facts import ModelFacts
from kfp_edge.model_selection.record import TrainingRecord
from kfp_edge.reports.html import Page
from kfp_edge.tasks.registry import task_of
from kfp_edge.tasks.task import Evaluation, TrainingOptions


def describe_model(options: TrainingOptions, task: TaskName) -> str:
    """Return the estimator and the hyperparameters that were asked for or chosen, such as `svm with C=10`.

    Those of the models of quantiles are added where they are others.
    """
    estimator = choose_estimator(options.estimator, task)
    values = _list_values(estimator, options.hyperparameters)
    model = f"{estimator.name} with {values}" if values else estimator.name
    if options.quantile_hyperparameters is None:
        return model
    return f"{model}; quantiles with {_list_values(estimator, options.quantile_hyperparameters) or 'the default ones'}"


def _list_values(estimator: Estimator, given: Hyperparameters) -> str:
    hyperparameters = estimator.check(given)  # a backend writes every integer as a float
    return ", ".join(f"{key}={_format(value)}" for key, value in sorted(hyperparameters.items()))


def _format(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def write_report(
    path: Path,
    train_data: Dataset,
    test_data: Dataset,
    evaluation: Evaluation,
    options: TrainingOptions,
    training: TrainingRecord | None = None,
) -> None:
    """Write the report of a fitted Pipeline as one self-contained HTML page.

    Args:
        path: Where the page goes.
        train_data: The rows that it was fitted on.
        test_data: The held-out rows.
        evaluation: The Pipeline, and what was measured on the held-out rows.
        options: The parameters of the training.
        training: What cross-validation and tuning found out; None without them.
    """
    training = training or TrainingRecord()
    roles, task = test_data.roles, task_of(test_data)
    target = f"target {roles.target}" if roles.target else "no labels"
    rows = f"{len(test_data.frame):,} held-out rows"
    model = describe_model(options, task.name)
    page = Page("Training report", f"Task {roles.task}, {target}, {model}, {rows}, seed {options.seed}.")
    facts = ModelFacts(
        train_data,
        test_data,
        evaluation.measurement,
        options.false_alarm_rate,
        task.find_threshold(evaluation.predictions),
        task.describe_threshold_rows(train_data, options),
        training=training,
    )
    page.warnings(facts.warnings)
    facts.add_to(page)
    if training.metrics:
        from kfp_edge.components.train.selection_figures import add_selection  # importing matplotlib takes a second

        add_selection(page, training, evaluation.metrics)
    task.add_figures(page, test_data, evaluation, options)
    page.write(path)

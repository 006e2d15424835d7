"""What cross-validation and tuning found out, as tables that the reports and the model card share."""

from collections.abc import Iterable, Mapping

from kfp_edge.metrics.catalog import format_metric
from kfp_edge.model_selection.record import CrossValidation, TrainingRecord, Tuning
from kfp_edge.model_selection.tuning_metric import is_lower_better
from kfp_edge.reports.section import Section

_ABOUT_MEAN = (
    "The interval is that of the mean, by the corrected t-test of Nadeau and Bengio (2003): what to expect of a model "
    "that is trained on other rows of the same kind. A single set of rows scatters more than a mean, so that the "
    "metric of the held-out rows may well be beyond it; its own interval is among the metrics above."
)
_ABOUT_TUNED = (
    "The same folds chose the hyperparameters, so that these metrics are a little too good; those of the held-out "
    "rows, which tuning never sees, are not."
)


def describe_training(record: TrainingRecord, metrics: Mapping[str, float]) -> list[Section]:
    """Return the tables of what was found out, beside the metrics on held-out rows, `metrics`."""
    sections = []
    if record.tuning is not None:
        sections.append(_describe_tuning(record.tuning))
    if record.cross_validation is not None:
        sections.append(_describe_folds(record.cross_validation, metrics, is_tuned=record.tuning is not None))
    return sections


def _describe_tuning(tuning: Tuning) -> Section:
    default, best = tuning.trials[0], tuning.trials[tuning.best]
    rows = [(name, default.hyperparameters[name], value) for name, value in best.hyperparameters.items()]
    aim = "lowest" if is_lower_better(tuning.metric) else "highest"
    mean = f"the {aim} mean {tuning.metric} over the folds"
    scores = [format_metric(tuning.metric, trial.score) for trial in (best, default) if trial.score is not None]
    if tuning.best == 0:
        result = f"The default hyperparameters (trial 1) have {mean}: {scores[0]}"
    else:
        result = (
            f"Trial {tuning.best + 1:,} has {mean}: {scores[0]}; the default hyperparameters (trial 1) have {scores[1]}"
        )
    note = f"{result}. {tuning.outcome[0].upper()}{tuning.outcome[1:]}."
    return Section(f"Hyperparameters of {tuning.estimator}", ("hyperparameter", "default", "chosen"), rows, note)


def _describe_folds(cross_validation: CrossValidation, metrics: Mapping[str, float], *, is_tuned: bool) -> Section:
    note = [f"{cross_validation.description}.", *cross_validation.left_out, _ABOUT_MEAN]
    note += [_ABOUT_TUNED] if is_tuned else []
    return Section(
        "Metrics over folds of the training rows",
        ("metric", "mean", "95 % interval of the mean", "lowest", "highest", "folds", "held-out rows"),
        list(_list_metrics(cross_validation, metrics)),
        " ".join(sentence[0].upper() + sentence[1:] for sentence in note),
    )


def _list_metrics(cross_validation: CrossValidation, metrics: Mapping[str, float]) -> Iterable[tuple[str, ...]]:
    for name, summary in sorted(cross_validation.metrics.items(), key=lambda item: ("(" in item[0], item[0])):
        mean, lowest, highest = (
            format_metric(name, value) for value in (summary.mean, summary.lowest, summary.highest)
        )
        held_out = format_metric(name, metrics[name]) if name in metrics else "not measured"
        yield name, mean, summary.format_interval(), lowest, highest, str(len(summary.values)), held_out

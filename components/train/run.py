"""Everything that the component does: choose the hyperparameters, fit, measure, report and save the model."""

from dataclasses import dataclass
from pathlib import Path

from kfp_edge.components.train.report import write_report
from kfp_edge.components.train.train import fit, measure
from kfp_edge.ml import dataset
from kfp_edge.ml.skops_model import save_model
from kfp_edge.ml.threads import limit_threads
from kfp_edge.model_selection.record import METADATA_KEY, TrainingRecord
from kfp_edge.model_selection.selection import SelectionOptions, select_model
from kfp_edge.runtime.stage import log_progress
from kfp_edge.tasks.task import Curves, Evaluation, TrainingOptions


@dataclass(frozen=True)
class Trained:
    """What is known about a model that was trained, and saved."""

    evaluation: Evaluation
    record: TrainingRecord

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics on held-out rows and over folds, by name."""
        return {**self.evaluation.metrics, **self.record.metrics}

    @property
    def curves(self) -> Curves | None:
        """The curves of held-out rows, as far as the labels define any."""
        return self.evaluation.curves

    @property
    def warnings(self) -> tuple[str, ...]:
        """What lowers the trust in the metrics, each in one sentence."""
        return self.evaluation.measurement.warnings

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata of the model's artifact."""
        return {"format": "skops", METADATA_KEY: self.record.model_dump_json()}


def train_and_save(
    train_data: Path,
    test_data: Path,
    training: TrainingOptions,
    selection: SelectionOptions,
    *,
    model: Path,
    report: Path,
) -> Trained:
    """Train a model for the task of the data, and write it and its report.

    Args:
        train_data: The rows to learn from, a file of `ingest`; they are read anew for each step, so that the fit can
            free them before the trees need memory.
        test_data: The held-out rows, a file of `ingest`.
        training: How the model is trained.
        selection: What is done with the training rows beside fitting one model.
        model: Where the model goes, as a skops file.
        report: Where the HTML report goes.

    Raises:
        ParameterError: an option cannot be used, or does not fit the data.
        DataError: the rows do not suffice.
    """
    selected = select_model(train_data, training, selection, log_progress)
    fitted = fit(dataset.load(train_data), selected.options)
    training_rows, test_rows = dataset.load(train_data), dataset.load(test_data)
    with limit_threads(test_rows):
        evaluation = measure(fitted, test_rows)
        write_report(report, training_rows, test_rows, evaluation, selected.options, selected.record)
    save_model(fitted, model)
    return Trained(evaluation, selected.record)

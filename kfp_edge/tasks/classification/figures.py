"""The part of the training report that only a classifier has."""

import numpy as np
from sklearn.calibration import CalibratedClassifierCV

from kfp_edge.estimators.calibration import name_correction
from kfp_edge.metrics.intervals import find_clusters
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.estimators import final_estimator
from kfp_edge.reports.html import Page
from kfp_edge.tasks.classification import plots
from kfp_edge.tasks.classification.importance import measure_importance
from kfp_edge.tasks.classification.miscalibration import describe_miscalibration
from kfp_edge.tasks.classification.predictions import ClassPredictions
from kfp_edge.tasks.classification.uncalibrated import predict_without_calibration
from kfp_edge.tasks.importance_figure import add_importance
from kfp_edge.tasks.task import Evaluation, TrainingOptions


def add_figures(page: Page, data: Dataset, evaluation: Evaluation, options: TrainingOptions) -> None:
    """Add the figures of a fitted classifier on held-out rows to a report."""
    predictions = evaluation.predictions
    assert isinstance(predictions, ClassPredictions)
    if evaluation.curves is None:
        page.text(f"Every held-out row is of the class {data.y()[0]}, so there are no curves.")
        return
    if evaluation.curves.roc is None:
        page.heading("Confused classes")
        page.text("Each row is a true class, each column a predicted one; the darker, the larger the share of the row.")
        page.figure(plots.plot_confusion(*evaluation.curves.confusion), "confusion matrix")
        mistakes = plots.list_confusions(*evaluation.curves.confusion)
        if mistakes:
            page.text("The most frequent mistakes, with their share of the rows of the true class:")
            page.table(("true", "predicted", "rows"), mistakes)
    else:
        page.heading("ROC curve, precision-recall curve and confusion matrix")
        page.text(f"The curves are those of the class {predictions.positive_class}; the dots are where its labels are.")
        curves = plots.plot_curves(data, predictions, evaluation.curves)
        page.figure(curves, "ROC curve, precision-recall curve and confusion matrix")
    add_importance(page, measure_importance(evaluation.estimator, data, options.seed), "drop in balanced accuracy")
    if evaluation.curves.roc is not None:
        page.heading("Probabilities and calibration")
        page.text("On the right, a well calibrated model follows the dotted line; grey lines are 95 % intervals.")
        before = predict_without_calibration(evaluation.estimator, data, predictions.positive_class)
        probabilities = plots.plot_probabilities(data, predictions, before)
        page.figure(probabilities, "probabilities by true class, and calibration")
        truth = np.asarray(data.y() == predictions.positive_class)
        fault = describe_miscalibration(truth, predictions.ranking_score, find_clusters(data))
        if fault and not isinstance(final_estimator(evaluation.estimator), CalibratedClassifierCV):
            page.text(f"{fault} {name_correction(options.estimator)} corrects them.")

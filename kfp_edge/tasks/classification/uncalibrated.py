"""The probabilities of a calibrated classifier as they were before, to compare both in the report."""

from sklearn.calibration import CalibratedClassifierCV
from sklearn.pipeline import Pipeline

from kfp_edge.ml.arrays import ClassLabel, Floats
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.decision import without_decision
from kfp_edge.ml.estimators import final_estimator
from kfp_edge.ml.model_rows import to_model_rows


def predict_without_calibration(estimator: Pipeline, data: Dataset, positive: ClassLabel) -> Floats | None:
    """Return the probability of a class before calibration, shape [rows].

    It is None where the model is not calibrated, or gives no probabilities without it, as support vector machines.
    """
    final = final_estimator(estimator)
    if not isinstance(final, CalibratedClassifierCV) or len(final.calibrated_classifiers_) != 1:
        return None
    model = final.calibrated_classifiers_[0].estimator
    if not hasattr(model, "predict_proba"):
        return None
    rows, steps = to_model_rows(estimator, data), without_decision(estimator)[:-1]
    prepared = steps.transform(rows) if len(steps) else rows
    probability: Floats = model.predict_proba(prepared)[:, list(model.classes_).index(positive)]
    return probability

"""The decision of a classifier that is trained here: its threshold is chosen on rows that no scoring model has seen."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
from sklearn.pipeline import Pipeline

from kfp_edge.errors import ParameterError
from kfp_edge.estimators.unseen_rows import UnseenRows, divide_rows
from kfp_edge.metrics.costs import read_costs
from kfp_edge.ml.arrays import ClassLabel, Float32s, Int64s
from kfp_edge.ml.bundle import ThresholdChoice
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.decision import Decision
from kfp_edge.ml.model_rows import to_model_rows
from kfp_edge.tasks.classification.threshold import choose_threshold, measure_at, parse_threshold


def choose_decision(
    data: Dataset, threshold: Mapping[str, object], fit: Callable[[Dataset], Pipeline]
) -> Decision | None:
    """Return the decision that a user asks for; None where he asks for none.

    Args:
        data: The training rows.
        threshold: What is asked of the threshold.
        fit: Fits the classifier on some of the rows.

    Raises:
        DataError: there are too few rows of a class.
        ParameterError: `threshold` cannot be used, or there are more than two classes.
    """
    asked = parse_threshold(threshold)
    if not asked:
        return None
    positive = _find_positive(data)
    if "probability" in asked:
        return Decision(choose_threshold(asked, np.empty(0, bool), np.empty(0, np.float32)), positive, _choice(asked))
    rows = divide_rows(data, "a threshold")
    truth, score = np.asarray(data.y() == positive), _score_unseen(data, rows, positive, fit)
    chosen = choose_threshold(asked, truth, score)
    recall, false_alarm_rate = measure_at(chosen, truth, score)
    expected = {"recall": recall, "false_alarm_rate": false_alarm_rate}
    costs = read_costs(asked)
    if costs is not None:
        expected["cost_per_row"] = costs.measure(truth, score > np.float32(chosen))
    return Decision(chosen, positive, _choice(asked, rows.origin, expected))


def _choice(
    asked: Mapping[str, float], origin: str = "", expected: Mapping[str, float] | None = None
) -> ThresholdChoice:
    rounded = {name: round(value, 6) for name, value in (expected or {}).items()}
    return ThresholdChoice(asked=dict(asked), origin=origin, expected=rounded)


def _find_positive(data: Dataset) -> ClassLabel:
    classes = np.unique(data.y()).tolist()
    if len(classes) > 2:
        raise ParameterError(
            f"threshold decides between two classes, and column {data.roles.target!r} has {len(classes):,}; leave it "
            "empty, or give a target of two classes."
        )
    positive: ClassLabel = classes[-1] if data.roles.positive is None else data.roles.positive
    return positive


def _score_unseen(
    data: Dataset, rows: UnseenRows, positive: ClassLabel, fit: Callable[[Dataset], Pipeline]
) -> Float32s:
    """Return the probability of the positive class for each row, by a model that has not seen it; shape [rows]."""
    score = np.empty(len(data.frame), dtype=np.float32)
    for fitted, unseen in rows.parts:
        model, part = fit(_select(data, fitted)), _select(data, unseen)
        column = list(model.classes_).index(positive)
        score[unseen] = model.predict_proba(to_model_rows(model, part))[:, column]
    return score


def _select(data: Dataset, rows: Int64s) -> Dataset:
    return dataclasses.replace(data, frame=data.frame.iloc[rows].reset_index(drop=True))

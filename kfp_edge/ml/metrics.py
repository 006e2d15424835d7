"""How good predictions are, in the numbers that gates and reports use."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import metrics as sk

from kfp_edge.errors import KfpEdgeError

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Predictions:
    """What a model says of n rows.

    `label` has shape [n]. A classifier has `probabilities`, shape [n, classes], in the order of `classes`;
    an anomaly detector has `score`, shape [n], higher being more anomalous, and labels 1 above `threshold`.
    """

    label: npt.NDArray[Any]
    probabilities: Floats | None = None
    score: Floats | None = None
    classes: tuple[Any, ...] = ()
    threshold: float = 0.0

    @property
    def positive(self) -> Floats:
        """The number that ranks rows: the probability of the last class, or the score; shape [n]."""
        if self.score is not None:
            return self.score
        assert self.probabilities is not None
        return self.probabilities[:, -1]


def evaluate(predictions: Predictions, labels: npt.NDArray[Any] | None) -> dict[str, float]:
    """Compare predictions with true labels of shape [n], or say what can be said without them.

    Classification: accuracy, balanced_accuracy, log_loss; for two classes also roc_auc, average_precision,
    f1, precision, recall (of the second class) and brier_score; for more, roc_auc one against the rest and
    macro f1. Anomaly: alarm_rate; with labels also false_alarm_rate, specificity, recall, precision, roc_auc,
    average_precision, and event_recall: the share of unbroken runs of anomalous rows in which an alarm was raised.
    """
    if predictions.score is not None:
        found = _anomaly(predictions, labels)
    elif labels is None:
        raise KfpEdgeError("a classifier cannot be evaluated without labels; give ingest a target column.")
    elif len(predictions.classes) == 2:
        found = _two_classes(predictions, labels)
    else:
        found = _many_classes(predictions, labels)
    return {name: round(float(value), 6) for name, value in found.items()}


def events(labels: npt.NDArray[Any]) -> list[slice]:
    """Return the unbroken runs of 1 in `labels`, shape [n], in order."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], labels.astype(int), [0]))))
    return [slice(start, stop) for start, stop in zip(edges[::2], edges[1::2], strict=True)]


def _two_classes(predictions: Predictions, labels: npt.NDArray[Any]) -> dict[str, float]:
    positive = predictions.classes[-1]
    truth, said = labels == positive, predictions.label == positive
    probability = predictions.positive
    return {
        **_agreement(predictions, labels),
        "roc_auc": sk.roc_auc_score(truth, probability),
        "average_precision": sk.average_precision_score(truth, probability),
        "f1": sk.f1_score(truth, said, zero_division=0),
        "precision": sk.precision_score(truth, said, zero_division=0),
        "recall": sk.recall_score(truth, said, zero_division=0),
        "brier_score": sk.brier_score_loss(truth, probability),
    }


def _many_classes(predictions: Predictions, labels: npt.NDArray[Any]) -> dict[str, float]:
    return {
        **_agreement(predictions, labels),
        "roc_auc": sk.roc_auc_score(
            labels, _unit_rows(predictions), multi_class="ovr", labels=list(predictions.classes)
        ),
        "f1": sk.f1_score(labels, predictions.label, average="macro", zero_division=0),
    }


def _agreement(predictions: Predictions, labels: npt.NDArray[Any]) -> dict[str, float]:
    return {
        "accuracy": sk.accuracy_score(labels, predictions.label),
        "balanced_accuracy": sk.recall_score(labels, predictions.label, average="macro", zero_division=0),
        "log_loss": sk.log_loss(labels, _unit_rows(predictions), labels=list(predictions.classes)),
    }


def _unit_rows(predictions: Predictions) -> Floats:
    """Probabilities whose rows sum to 1 in double precision; single precision misses it by a rounding."""
    assert predictions.probabilities is not None
    rows = predictions.probabilities.astype(np.float64)
    unit: Floats = rows / rows.sum(axis=1, keepdims=True)
    return unit


def _anomaly(predictions: Predictions, labels: npt.NDArray[Any] | None) -> dict[str, float]:
    alarm = predictions.label == 1
    found = {"alarm_rate": float(alarm.mean())}
    if labels is None:
        return found
    truth = labels == 1
    if not (~truth).any():
        raise KfpEdgeError(
            "every held-out row is labelled anomalous, so false alarms cannot be counted; hold out more."
        )
    false_alarms = float(alarm[~truth].mean())
    found |= {"false_alarm_rate": false_alarms, "specificity": 1 - false_alarms}
    if not truth.any():
        return found
    runs = events(truth)
    return found | {
        "recall": sk.recall_score(truth, alarm, zero_division=0),
        "precision": sk.precision_score(truth, alarm, zero_division=0),
        "roc_auc": sk.roc_auc_score(truth, predictions.positive),
        "average_precision": sk.average_precision_score(truth, predictions.positive),
        "events": len(runs),
        "event_recall": np.mean([alarm[run].any() for run in runs]),
    }


def classes_of(values: Iterable[Any]) -> tuple[Any, ...]:
    """Return class labels as plain Python integers or strings."""
    return tuple(value.item() if isinstance(value, np.generic) else value for value in values)

"""The comparison with the champion, the model in use: on the same rows, the new model may not be worse."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from kfp_edge.errors import ParameterError
from kfp_edge.metrics.catalog import Direction, find_metric
from kfp_edge.metrics.gates import Gate
from kfp_edge.metrics.measurement import Measurement
from kfp_edge.ml.dataset import Dataset
from kfp_edge.reports.check import Check
from kfp_edge.reports.numbers import format_number
from kfp_edge.retraining.champion import Champion
from kfp_edge.storage.fetch import fetch
from kfp_edge.tasks.predictions import Predictions
from kfp_edge.tasks.registry import measure, task_of


def compare_with_champion(
    uri: str, margin: float, gates: Iterable[Gate], predictions: Predictions, measurement: Measurement, data: Dataset
) -> list[Check]:
    """Compare a model with the champion on held-out rows, in the metrics that have gates.

    Without gates they are compared by how well they rank, by how rarely they raise a false alarm, or by their errors.

    Args:
        uri: The champion's bundle, a path or a URI.
        margin: By how much the new model may be worse.
        gates: The gates that the user names.
        predictions: What the new model predicts.
        measurement: What was measured of them.
        data: The held-out rows.

    Raises:
        ParameterError: the champion is a model for another task, other classes or another positive class, or it lacks
            a metric.
        DataError: the rows lack a column that the champion needs.
        ModelError: the champion's bundle was altered.
        StorageError: the champion cannot be fetched.
    """
    with TemporaryDirectory() as scratch:
        champion = Champion.load(fetch(uri, Path(scratch)), uri)
    champion_predictions = champion.predict(data)
    champion.check_classes(champion_predictions, predictions, measurement.positive)
    names = sorted({gate.metric for gate in gates}) or _find_compared_metric(data, measurement.metrics)
    champion_metrics = measure(champion_predictions, data).metrics
    if lacking := next((name for name in names if name not in champion_metrics), None):
        raise ParameterError(
            f"the champion {uri} has no {lacking}, which the gates name; leave champion empty, or compare models that "
            "have it."
        )
    return check_champion(measurement.metrics, champion_metrics, names, margin)


def check_champion(
    metrics: Mapping[str, float], champion: Mapping[str, float], names: Iterable[str], margin: float
) -> list[Check]:
    """Require the challenger to be at most `margin` worse than the champion in each named metric.

    Of a metric in units, such as an error, the margin is a share of the champion's value.
    """
    return [_compare(name, metrics[name], champion[name], margin) for name in names]


def _compare(name: str, value: float, champion: float, margin: float) -> Check:
    metric = find_metric(name)
    is_lower_better = metric is not None and metric.direction is Direction.LOWER
    has_unit = metric is not None and metric.has_unit
    allowed, margin_text = (margin * champion, f"{100 * margin:g} %") if has_unit else (margin, f"{margin:g}")
    limit, words = (champion + allowed, "at most") if is_lower_better else (champion - allowed, "at least")
    return Check(
        f"champion {name}",
        value <= limit if is_lower_better else value >= limit,
        format_number(value),
        f"{words} {format_number(limit)} (champion {format_number(champion)}, margin {margin_text})",
    )


def _find_compared_metric(data: Dataset, metrics: Mapping[str, float]) -> list[str]:
    return [name for name in task_of(data).compared_metrics if name in metrics][:1]

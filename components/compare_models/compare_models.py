"""Decide whether a new model is better than the one in use."""

from dataclasses import dataclass, field
from pathlib import Path

from kfp_edge.components.compare_models.report import write_report
from kfp_edge.errors import ParameterError
from kfp_edge.ml import dataset
from kfp_edge.reports.html import Page
from kfp_edge.retraining.champion import Champion
from kfp_edge.retraining.comparison import Comparison, compare
from kfp_edge.storage.files import read_json

_REMEDY = "deliver the new model with the pipeline edge_mlops, which needs no comparison"


@dataclass(frozen=True)
class Result:
    """The outputs of the component, and what the user should know."""

    verdict: str
    reason: str
    metrics: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def compare_models(bundle: Path, champion: Path, test_data: Path, metric: str, margin: float, report: Path) -> Result:
    """Compare the bundle of a new model with that of the model in use, and write the report.

    Args:
        bundle: The new model.
        champion: What `fetch_champion` wrote.
        test_data: Held-out rows.
        metric: What is compared; "" for what the task is compared by.
        margin: By how much the metric may be worse on the rows before the recent ones.
        report: Where the HTML page goes.

    Raises:
        ParameterError: the models are not comparable, or the metric is not.
        DataError: the rows lack a column that the model in use needs.
        ModelError: a bundle was altered.
    """
    if margin < 0:
        raise ParameterError(f"champion_margin is {margin:g}; give 0 or more.")
    facts = read_json(champion / "champion.json")
    if not facts["version"]:
        reason = f"{facts['model']} is not in use yet, so there is nothing to compare it with"
        Page("New model and model in use", f"{reason}.").write(report)
        print(f"better: {reason}", flush=True)
        return Result("better", reason)
    in_use = Champion.load(champion / "bundle", f"{facts['model']} {facts['version']} in {facts['where']}", _REMEDY)
    new = Champion.load(bundle, "new model")
    data = dataset.load(test_data)
    in_use.check_classes(in_use.predict(data), new.predict(data), new.positive)
    result = compare(in_use.predict, new.predict, data, margin, metric)
    write_report(report, result, in_use.name)
    verdict = "better" if result.is_better else "not better"
    print(f"{verdict}: {result.reason}", flush=True)
    warnings = [] if result.is_better else [f"the new model is not delivered: {result.reason}"]
    return Result(verdict, result.reason, _list_metrics(result), warnings)


def _list_metrics(comparison: Comparison) -> dict[str, float]:
    """Return the metric of both models on each period, such as `roc_auc(recent, champion)`."""
    measured = [(each.period, each.values) for each in comparison.periods if each.values is not None]
    return {
        f"{comparison.metric}({period}, {name})": value
        for period, values in measured
        for name, value in (("champion", values.champion), ("challenger", values.challenger), ("gain", values.gain))
    }

"""The KFP component definition of `compare_models`."""

from typing import NamedTuple

from kfp.dsl import HTML, Artifact, Dataset, Input, Metrics, Output

from kfp_edge.runtime.component import component


@component
def compare_models(
    bundle: Input[Artifact],
    champion: Input[Artifact],
    test_data: Input[Dataset],
    metrics: Output[Metrics],
    report: Output[HTML],
    compared_metric: str = "",
    champion_margin: float = 0.01,
) -> NamedTuple("Outputs", [("verdict", str), ("reason", str)]):
    """Decide whether a new model is better than the one in use, on recent rows and on those before.

    Args:
        bundle: The new model, written by `verify`.
        champion: The model in use, written by `fetch_champion`.
        test_data: Held-out rows, written by `ingest`; with its parameter `recent`, those of both periods.
        compared_metric: Metric by which the models are compared, such as `average_precision`. If empty, it is that of
            the task: `roc_auc` or, without two classes, another one that says how well it ranks; `rmse` of numbers.
        champion_margin: By how much a metric may be worse than the champion's: absolute for shares such as `roc_auc`,
            relative for metrics in units such as `rmse`, of which 0.01 is one percent.

    Returns:
        verdict: `better`, or `not better`; `better` also where there is no model in use.
        reason: Why, in one sentence with the numbers.
        metrics: The metric of both models on the rows of each period.
        report: The comparison as a page with a plot.
    """
    from kfp_edge.runtime.stage import log_metrics, stage

    with stage("compare_models") as warnings:
        from pathlib import Path

        from kfp_edge.components.compare_models.compare_models import compare_models

        result = compare_models(
            Path(bundle.path),
            Path(champion.path),
            Path(test_data.path),
            compared_metric,
            champion_margin,
            Path(report.path),
        )
        warnings.extend(result.warnings)
        log_metrics(metrics, result.metrics)
        return (result.verdict, result.reason)

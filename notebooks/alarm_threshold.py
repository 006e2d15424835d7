"""A component of your own; notebook 5 prints this file."""

from kfp.dsl import Dataset, Input, Markdown, Metrics, Model, Output

from kfp_edge.runtime.component import component


@component
def alarm_threshold(
    onnx_model: Input[Model],
    test_data: Input[Dataset],
    costs: Output[Dataset],
    metrics: Output[Metrics],
    report: Output[Markdown],
    missed_failure_cost: float = 2000.0,
    false_alarm_cost: float = 200.0,
) -> float:
    """Choose the probability above which an alarm costs least.

    Args:
        onnx_model: A classifier that `export` wrote.
        test_data: Held-out rows; the threshold is chosen on every other row and evaluated on the rest.
        missed_failure_cost: EUR per failure without an alarm.
        false_alarm_cost: EUR per alarm without a failure.

    Outputs:
        Output: The threshold, a probability.
        costs: CSV with one row per threshold: the cost in EUR per 1,000 rows, on either half.
        metrics: The cost at the chosen threshold and at 0.5, on the rows for evaluation.
        report: The choice in one sentence.
    """
    from pathlib import Path

    import numpy as np
    import pandas as pd

    from kfp_edge.ml import dataset
    from kfp_edge.ml.onnx_model import OnnxModel
    from kfp_edge.tasks.registry import predict_onnx

    held_out = dataset.load(Path(test_data.path))
    positive = held_out.roles.positive  # the class of two that is an alarm, such as "defect" or 1
    if positive is None:
        raise ValueError("an alarm threshold needs a target of two classes")
    failed = held_out.y() == positive
    probability = predict_onnx(OnnxModel.load(Path(onnx_model.path)), held_out.x(), positive).ranking_score
    thresholds = np.round(np.arange(0.01, 1, 0.01), 2)

    def cost(half):
        alarm = probability[half] > thresholds[:, None]
        missed, false = ~alarm & failed[half], alarm & ~failed[half]
        return 1000 * (missed * missed_failure_cost + false * false_alarm_cost).mean(axis=1)

    every_other = np.arange(len(failed)) % 2 == 0
    table = pd.DataFrame({"threshold": thresholds, "chosen_on": cost(every_other), "evaluated_on": cost(~every_other)})
    table.to_csv(costs.path, index=False)
    best = table.loc[table.chosen_on.idxmin()]
    default = table.loc[table.threshold == 0.5].iloc[0]
    metrics.log_metric("cost_per_1000_rows", float(best.evaluated_on))
    metrics.log_metric("cost_per_1000_rows_at_0_5", float(default.evaluated_on))
    Path(report.path).write_text(
        f"Raise the alarm above **{best.threshold:.2f}**: it costs {best.evaluated_on:,.0f} EUR per 1,000 rows, "
        f"against {default.evaluated_on:,.0f} EUR at 0.5.\n"
    )
    return float(best.threshold)

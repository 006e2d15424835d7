"""The KFP component definition of `fleet_summary`."""

from kfp.dsl import HTML, Artifact, Input, Metrics, Output

from kfp_edge.runtime.component import component


@component
def fleet_summary(bundles: Input[list[Artifact]], metrics: Output[Metrics], report: Output[HTML]):
    """Compare the models of a fleet, one for each asset or site.

    Args:
        bundles: The bundles that `verify` wrote, each of another model.

    Returns:
        metrics: The number of models, and the lowest and highest value of every metric that all of them have.
        report: HTML page with every metric of every model, the worst model first.
    """
    from kfp_edge.runtime.stage import log_metrics, stage

    with stage("fleet_summary"):
        from pathlib import Path

        from kfp_edge.components.fleet_summary.fleet_summary import write_fleet_summary

        log_metrics(metrics, write_fleet_summary([Path(bundle.path) for bundle in bundles], Path(report.path)))

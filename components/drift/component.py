"""The KFP component definition of `drift`."""

from typing import NamedTuple

from kfp.dsl import HTML, Artifact, Metrics, Output

from kfp_edge.runtime.component import component


@component
def drift(
    model_name: str,
    result: Output[Artifact],
    metrics: Output[Metrics],
    report: Output[HTML],
    prometheus: str = "",
    site_label: str = "site",
    bundle: str = "",
    drift_window: str = "7d",
    drift_until: str = "",
    season: str = "7d",
    watch_psi: float = 0.1,
    drift_psi: float = 0.2,
    drift_alarm_rate: float = 0.01,
    min_rows: int = 200,
    min_drifted_sites: float = 0.1,
) -> NamedTuple("Outputs", [("decision", str), ("reasons", list), ("quarantined", list)]):
    """Decide whether a model still fits what its sites see, by the counts of inputs and outputs at the edge.

    Args:
        model_name: Name of the model, a DNS label such as `press-failure`. It names the bundle, the image and the
            folder at the edge.
        prometheus: URL of the Prometheus HTTP API with the metrics of the sites. If empty, that of the environment
            variable `KFP_EDGE_METRICS_URL`, or on a cluster of the key `url` in the Secret `metrics_secret`.
        site_label: The label of a time series that names its site.
        bundle: The bundle that is served, a path or a URI, for servers that do not publish the counts of training.
        drift_window: The time that is compared with training, such as `24h` or `7d`. It should hold several cycles of
            the machines: a value that moves more slowly than the window looks like drift.
        drift_until: The end of the window as ISO 8601 time, such as `2026-11-20T12:00:00Z`. If empty, now.
        season: How long before the window the same season was, such as `7d` for the same weekdays. Drift that was
            there, too, and not in between, is seasonal. If empty, nothing is.
        watch_psi: Population stability index from which on a significant difference is worth a look.
        drift_psi: Population stability index from which on it is drift.
        drift_alarm_rate: Probability of an alarm in one evaluation of all features, outputs and sites without drift.
        min_rows: With fewer rows there is no verdict.
        min_drifted_sites: Share of the sites that have to drift before the model is retrained, where neither a ring
            nor the whole fleet does.

    Returns:
        decision: `none`, `watch`, `repair` (a sensor) or `retrain`.
        reasons: A sentence for each reason.
        quarantined: The rows that should not be retrained on, each `{site, features, start, end, reason}`.
        result: JSON with the decision and every comparison, which `kfp_edge.drift.result.DriftResult` reads.
        metrics: The numbers of sites, rows, comparisons and verdicts, and the largest index.
        report: HTML page with the reasons, and plots of what changed.
    """
    from kfp_edge.runtime.stage import log_metrics, stage

    with stage("drift") as warnings:
        from pathlib import Path

        from kfp_edge.components.drift.parameters import read_parameters
        from kfp_edge.components.drift.run import run

        parameters = read_parameters(
            model_name=model_name,
            prometheus=prometheus,
            site_label=site_label,
            bundle=bundle,
            drift_window=drift_window,
            drift_until=drift_until,
            season=season,
            watch_psi=watch_psi,
            drift_psi=drift_psi,
            drift_alarm_rate=drift_alarm_rate,
            min_rows=min_rows,
            min_drifted_sites=min_drifted_sites,
        )
        decided = run(parameters, Path(result.path), Path(report.path))
        log_metrics(metrics, decided.metrics)
        warnings.extend(decided.warnings)
        return (decided.decision, decided.reasons, decided.quarantined)

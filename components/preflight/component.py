"""The KFP component definition of `preflight`."""

from typing import Optional

from kfp_edge.components.claim_retraining.component import claim_retraining
from kfp_edge.components.compare_models.component import compare_models
from kfp_edge.components.containerize.component import containerize
from kfp_edge.components.export.component import export
from kfp_edge.components.fetch_model.component import fetch_model
from kfp_edge.components.gitops_commit.component import gitops_commit
from kfp_edge.components.ingest.component import ingest
from kfp_edge.components.staging_test.component import staging_test
from kfp_edge.components.train.component import train
from kfp_edge.components.verify.component import verify
from kfp_edge.runtime.component import component, describe_inputs


@component
@describe_inputs(
    ingest,
    train,
    fetch_model,
    export,
    verify,
    containerize,
    staging_test,
    claim_retraining,
    compare_models,
    gitops_commit,
)
def preflight(
    assets: Optional[list[dict]] = None,
    data: Optional[str] = None,
    windows: Optional[str] = None,
    failures: Optional[str] = None,
    failure_columns: Optional[dict] = None,
    horizon: Optional[str] = None,
    repair_time: Optional[str] = None,
    run_to_failure: Optional[bool] = None,
    max_rul: Optional[str] = None,
    task: Optional[str] = None,
    target: Optional[str] = None,
    positive: Optional[str] = None,
    drop: Optional[list[str]] = None,
    time_column: Optional[str] = None,
    group_column: Optional[str] = None,
    rolling_windows: Optional[list[int]] = None,
    columns: Optional[dict] = None,
    time_range: Optional[dict] = None,
    split: Optional[str] = None,
    test_fraction: Optional[float] = None,
    seed: Optional[int] = None,
    separator: Optional[str] = None,
    decimal: Optional[str] = None,
    thousands: Optional[str] = None,
    encoding: Optional[str] = None,
    missing_values: Optional[list[str]] = None,
    time_format: Optional[str] = None,
    time_zone: Optional[str] = None,
    column_names: Optional[list[str]] = None,
    false_alarm_rate: Optional[float] = None,
    estimator: Optional[str] = None,
    hyperparameters: Optional[dict] = None,
    quantiles: Optional[list[float]] = None,
    threshold: Optional[dict] = None,
    calibration: Optional[str] = None,
    folds: Optional[int] = None,
    tune: Optional[int] = None,
    tune_metric: Optional[str] = None,
    tune_minutes: Optional[float] = None,
    model: Optional[str] = None,
    model_sha256: Optional[str] = None,
    model_classes: Optional[dict] = None,
    model_outputs: Optional[list[str]] = None,
    model_threshold: Optional[str] = None,
    model_name: Optional[str] = None,
    model_version: Optional[str] = None,
    champion: Optional[str] = None,
    champion_margin: Optional[float] = None,
    gates: Optional[dict] = None,
    may_be_missing: Optional[list[str]] = None,
    max_latency_ms: Optional[float] = None,
    registry: Optional[str] = None,
    serving_image: Optional[str] = None,
    format: Optional[str] = None,
    modelcar_base: Optional[str] = None,
    build: Optional[str] = None,
    build_options: Optional[dict] = None,
    staging: Optional[str] = None,
    staging_options: Optional[dict] = None,
    startup_timeout: Optional[float] = None,
    staging_max_latency_ms: Optional[float] = None,
    retraining_state: Optional[str] = None,
    cool_down: Optional[str] = None,
    max_retrainings_per_week: Optional[int] = None,
    retraining_timeout: Optional[str] = None,
    compared_metric: Optional[str] = None,
    gitops_repo: Optional[str] = None,
    gitops_branch: Optional[str] = None,
    ring: Optional[str] = None,
    gitops_target: Optional[dict] = None,
    pull_requests: Optional[dict] = None,
):
    """Check every parameter and target of a pipeline before its first stage; what is not given is not checked.

    Args:
        assets: The models to train, one for each asset: `[{model_name: press-1, data: s3://plant/press-1}, ...]`.
        model_sha256: Expected SHA-256 of the model's file, 64 hex digits; not checked if empty.
        staging_max_latency_ms: Upper bound of the 99th percentile of a single-row request's latency in the staging
            test, over HTTP, in milliseconds.
    """
    values = {name: value for name, value in locals().items() if value is not None}
    from kfp_edge.runtime.stage import stage

    with stage("preflight"):
        from kfp_edge.components.preflight.preflight import preflight

        preflight(values)

"""The whole line: data -> train -> export -> verify -> containerize -> staging test -> release -> GitOps commit."""

from kfp import dsl

from kfp_edge.pipelines import _defaults as default
from kfp_edge.pipelines import training as half
from kfp_edge.pipelines._delivery_steps import Delivered, deliver


@dsl.pipeline(name="edge-mlops", description="Train a model and propose it to the edge sites as a reviewed change.")
def edge_mlops(
    data: str = default.DATA,
    task: str = "classification",
    target: str = "",
    drop: list[str] = [],
    time_column: str = "",
    group_column: str = "",
    windows: str = "",
    rolling_windows: list[int] = [],
    columns: dict = {},
    false_alarm_rate: float = 0.001,
    model_name: str = default.MODEL_NAME,
    model_version: str = default.MODEL_VERSION,
    seed: int = 0,
    gates: dict = default.GATES,
    champion: str = "",
    revision: str = "",
    serving_image: str = "auto",
    registry: str = default.REGISTRY,
    gitops_repo: str = default.GITOPS_REPO,
    gitops_branch: str = "main",
    site: str = "site-1",
    namespace: str = "edge-models",
) -> Delivered:
    """Train, verify and deliver a model; `docs/parameters.md` describes the parameters."""
    trained = half.training(
        data=data,
        task=task,
        target=target,
        drop=drop,
        time_column=time_column,
        group_column=group_column,
        windows=windows,
        rolling_windows=rolling_windows,
        columns=columns,
        false_alarm_rate=false_alarm_rate,
        model_name=model_name,
        model_version=model_version,
        seed=seed,
        gates=gates,
        champion=champion,
        revision=revision,
    )
    return deliver(
        trained.outputs["bundle"],
        model_name=model_name,
        model_version=model_version,
        revision=revision,
        serving_image=serving_image,
        registry=registry,
        gitops_repo=gitops_repo,
        gitops_branch=gitops_branch,
        site=site,
        namespace=namespace,
    )

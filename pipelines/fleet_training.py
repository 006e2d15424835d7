"""One model an asset or a site, trained side by side: for each (data -> train -> export -> verify) -> summary."""

from kfp import dsl

from kfp_edge.components.fleet_summary.component import fleet_summary
from kfp_edge.pipelines import _defaults as default
from kfp_edge.pipelines import training as each
from kfp_edge.pipelines._task_config import TaskConfig


@dsl.pipeline(name="fleet-training", description="Train one model for each asset or site, and compare them.")
def fleet_training(
    assets: list[dict],
    task: str = "classification",
    target: str = "",
    drop: list[str] = [],
    time_column: str = "",
    group_column: str = "",
    rolling_windows: list[int] = [],
    columns: dict = {},
    false_alarm_rate: float = 0.001,
    model_version: str = default.MODEL_VERSION,
    seed: int = 0,
    gates: dict = default.GATES,
    revision: str = "",
    cpu: str = default.CPU,
    memory: str = default.MEMORY,
    data_connection: str = default.DATA_CONNECTION,
    ca_bundle: str = default.CA_BUNDLE,
    node_selector: dict = {},
    tolerations: list = [],
):
    """Train and verify a model for each of `assets`; `docs/parameters.md` describes the parameters."""
    cluster = TaskConfig(cpu, memory, data_connection, ca_bundle, node_selector, tolerations)
    with dsl.ParallelFor(items=assets, name="asset", parallelism=8) as asset:
        trained = each.training(
            data=asset.data,
            model_name=asset.model_name,  # not `name`: the loop has one of its own
            task=task,
            target=target,
            drop=drop,
            time_column=time_column,
            group_column=group_column,
            rolling_windows=rolling_windows,
            columns=columns,
            false_alarm_rate=false_alarm_rate,
            model_version=model_version,
            seed=seed,
            gates=gates,
            revision=revision,
            cpu=cpu,
            memory=memory,
            data_connection=data_connection,
            ca_bundle=ca_bundle,
            node_selector=node_selector,
            tolerations=tolerations,
        )
    compared = fleet_summary(bundles=dsl.Collected(trained.outputs["bundle"]))
    cluster.small(compared)

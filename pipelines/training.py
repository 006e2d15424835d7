"""The data scientist's half: data -> train -> export -> verify."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import Artifact

from kfp_edge.components.export.component import export
from kfp_edge.components.ingest.component import ingest
from kfp_edge.components.train.component import train
from kfp_edge.components.verify.component import verify
from kfp_edge.pipelines import _defaults as default
from kfp_edge.pipelines._task_config import TaskConfig, retried


class Trained(NamedTuple):
    """What training hands on."""

    bundle: Artifact


@dsl.pipeline(name="training", description="Train a model on a table and verify that it could be delivered.")
def training(
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
    cpu: str = default.CPU,
    memory: str = default.MEMORY,
    data_connection: str = default.DATA_CONNECTION,
    ca_bundle: str = default.CA_BUNDLE,
    node_selector: dict = {},
    tolerations: list = [],
) -> Trained:
    """Train, export and verify a model; `docs/parameters.md` describes the parameters."""
    cluster = TaskConfig(cpu, memory, data_connection, ca_bundle, node_selector, tolerations)
    rows = ingest(
        data=data,
        task=task,
        target=target,
        drop=drop,
        time_column=time_column,
        group_column=group_column,
        windows=windows,
        rolling_windows=rolling_windows,
        columns=columns,
        seed=seed,
    )
    trained = train(
        train_data=rows.outputs["train_data"],
        test_data=rows.outputs["test_data"],
        seed=seed,
        false_alarm_rate=false_alarm_rate,
    )
    exported = export(model=trained.outputs["model"], train_data=rows.outputs["train_data"])
    verified = verify(
        model=trained.outputs["model"],
        onnx_model=exported.outputs["onnx_model"],
        train_data=rows.outputs["train_data"],
        test_data=rows.outputs["test_data"],
        model_name=model_name,
        model_version=model_version,
        gates=gates,
        champion=champion,
        revision=revision,
    )
    cluster.large(rows, trained, exported, verified)
    cluster.reads_data(rows, verified)
    retried(rows)
    return Trained(bundle=verified.outputs["bundle"])

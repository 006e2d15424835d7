"""The data scientist's half: data -> train -> export -> verify."""

from typing import NamedTuple

from kfp.dsl import Artifact

from kfp_edge.components.export.component import export
from kfp_edge.components.ingest.component import ingest
from kfp_edge.components.train.component import train
from kfp_edge.components.verify.component import verify
from kfp_edge.pipelines._cluster_parameters import ClusterParameters, disable_caching, set_retries
from kfp_edge.pipelines._parameters import AnomalyOptions, DataOptions, DataSource, ModelName, Verification
from kfp_edge.spec.parameter_groups import arguments, pipeline


class Trained(NamedTuple):
    """The outputs of the pipeline."""

    bundle: Artifact


@pipeline(name="training", description="Train a model on a table and verify that it could be delivered.")
def training(
    source: DataSource,
    options: DataOptions,
    anomaly: AnomalyOptions,
    name: ModelName,
    verification: Verification,
    cluster: ClusterParameters,
) -> Trained:
    """Train, export and verify a model.

    Returns:
        bundle: A folder with the model, its signature, manifest, samples, reference statistics and model card.
    """
    rows = ingest(**arguments(source, options))
    trained = train(
        train_data=rows.outputs["train_data"],
        test_data=rows.outputs["test_data"],
        seed=options.seed,
        false_alarm_rate=anomaly.false_alarm_rate,
    )
    exported = export(model=trained.outputs["model"], train_data=rows.outputs["train_data"])
    verified = verify(
        model=trained.outputs["model"],
        onnx_model=exported.outputs["onnx_model"],
        train_data=rows.outputs["train_data"],
        test_data=rows.outputs["test_data"],
        **arguments(anomaly, name, verification),
    )
    cluster.configure_compute(rows, trained, exported, verified)
    cluster.use_data_connection(rows, verified)
    disable_caching(rows, verified)
    set_retries(rows)
    return Trained(bundle=verified.outputs["bundle"])

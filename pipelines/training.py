"""The data scientist's half: preflight -> data -> train -> export -> verify."""

from typing import NamedTuple

from kfp.dsl import Artifact

from kfp_edge.components.preflight.component import preflight
from kfp_edge.pipelines._cluster_parameters import ClusterParameters, disable_caching
from kfp_edge.pipelines._parameters import AnomalyOptions, DataOptions, DataSource, ModelName, Verification
from kfp_edge.pipelines._training_steps import train_and_verify
from kfp_edge.spec.parameter_groups import inputs_of, pipeline


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
    checked = preflight(**inputs_of(preflight, source, options, anomaly, name, verification))
    cluster.configure_light(checked)
    cluster.use_data_connection(checked)
    disable_caching(checked)
    return Trained(bundle=train_and_verify(source, options, anomaly, name, verification, cluster, after=[checked]))

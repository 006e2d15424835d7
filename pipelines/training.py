"""The data scientist's half: preflight -> data -> train -> export -> verify."""

from typing import NamedTuple

from kfp.dsl import Artifact

from kfp_edge.pipelines._cluster_parameters import ClusterParameters
from kfp_edge.pipelines._parameters import DataOptions, DataSource, ModelName, Training, Verification
from kfp_edge.pipelines._preflight_steps import check_run
from kfp_edge.pipelines._training_steps import train_and_verify
from kfp_edge.spec.parameters.groups import pipeline


class Trained(NamedTuple):
    """The outputs of the pipeline."""

    bundle: Artifact


@pipeline(name="training", description="Train a model on a table and verify that it could be delivered.")
def training(
    source: DataSource,
    options: DataOptions,
    training_options: Training,
    name: ModelName,
    verification: Verification,
    cluster: ClusterParameters,
) -> Trained:
    """Train, export and verify a model.

    Returns:
        bundle: A folder with the model, its signature, manifest, samples, reference statistics and model card.
    """
    groups = (source, options, training_options, name, verification)
    checked = check_run(*groups, cluster=cluster)
    return Trained(bundle=train_and_verify(*groups, cluster, after=[checked]).bundle)

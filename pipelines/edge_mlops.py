"""The whole line: data -> train -> export -> verify -> containerize -> staging test -> release -> GitOps commit."""

from kfp_edge.pipelines import training  # the module: `kfp dsl compile` wants one pipeline in a file
from kfp_edge.pipelines._cluster_parameters import ClusterParameters, DeliverySecrets
from kfp_edge.pipelines._delivery_steps import clean_up_on_exit, deliver
from kfp_edge.pipelines._parameters import AnomalyOptions, DataOptions, DataSource, Delivery, ModelName, Verification
from kfp_edge.spec.parameter_groups import arguments, pipeline


@pipeline(name="edge-mlops", description="Train a model and propose it to the edge sites as a reviewed change.")
def edge_mlops(
    source: DataSource,
    options: DataOptions,
    anomaly: AnomalyOptions,
    name: ModelName,
    verification: Verification,
    delivery: Delivery,
    cluster: ClusterParameters,
    secrets: DeliverySecrets,
) -> None:
    """Train, verify and deliver a model."""
    with clean_up_on_exit(delivery, cluster):
        trained = training.training(**arguments(source, options, anomaly, name, verification, cluster))
        deliver(trained.outputs["bundle"], name, verification, delivery, cluster, secrets)

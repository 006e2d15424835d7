"""The whole line: preflight -> data -> train -> export -> verify, then the stages of the delivery half."""

from kfp_edge.pipelines._cluster_parameters import ClusterParameters, DeliverySecrets
from kfp_edge.pipelines._delivery_steps import clean_up_on_exit, deliver
from kfp_edge.pipelines._parameters import DataOptions, DataSource, Delivery, ModelName, Training, Verification
from kfp_edge.pipelines._preflight_steps import check_delivery
from kfp_edge.pipelines._training_steps import train_and_verify
from kfp_edge.spec.parameters.groups import pipeline


@pipeline(name="edge-mlops", description="Train a model and propose it to the edge sites as a reviewed change.")
def edge_mlops(
    source: DataSource,
    options: DataOptions,
    training_options: Training,
    name: ModelName,
    verification: Verification,
    delivery: Delivery,
    cluster: ClusterParameters,
    secrets: DeliverySecrets,
) -> None:
    """Train, verify and deliver a model."""
    with clean_up_on_exit(delivery, cluster):
        groups = (source, options, training_options, name, verification)
        checked = check_delivery(*groups, delivery=delivery, cluster=cluster, secrets=secrets)
        verified = train_and_verify(*groups, cluster, after=[checked])
        deliver(verified.bundle, name, verification, delivery, cluster, secrets)

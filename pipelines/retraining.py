"""Retrain a model where it no longer fits its data: drift -> claim -> edge_mlops, if the new model is better."""

import dataclasses

from kfp import dsl

from kfp_edge.pipelines._cluster_parameters import ClusterParameters, DeliverySecrets, MetricsSecret
from kfp_edge.pipelines._delivery_steps import clean_up_on_exit, deliver
from kfp_edge.pipelines._parameters import DataOptions, DataSource, Delivery, RetrainedModel, Training, Verification
from kfp_edge.pipelines._preflight_steps import check_delivery
from kfp_edge.pipelines._retraining_steps import claim, compare, fetch_model_in_use, look_for_drift
from kfp_edge.pipelines._training_steps import train_and_verify
from kfp_edge.spec.parameters.groups import pipeline


@pipeline(name="retraining", description="Retrain a model that no longer fits what its sites see, and deliver it.")
def retraining(
    source: DataSource,
    options: DataOptions,
    training_options: Training,
    model: RetrainedModel,
    verification: Verification,
    delivery: Delivery,
    cluster: ClusterParameters,
    secrets: DeliverySecrets,
    metrics: MetricsSecret,
) -> None:
    """Look for drift; where it calls for it, train a new model, and deliver it if it is better than the one in use."""
    with clean_up_on_exit(delivery, cluster, model):
        groups = (source, options, training_options, model, verification)
        checked = check_delivery(*groups, delivery=delivery, cluster=cluster, secrets=secrets)
        judged = look_for_drift(model, cluster, metrics, after=checked)
        with dsl.If(judged.outputs["decision"] == "retrain", name="drifted"):
            claimed = claim(model, cluster)
            with dsl.If(claimed.outputs["verdict"] == "granted", name="claimed"):
                in_use = fetch_model_in_use(model, verification, delivery, cluster, secrets)
                new = dataclasses.replace(verification, model_version=in_use.outputs["next_version"])
                quarantined = judged.outputs["quarantined"]
                verified = train_and_verify(
                    source, options, training_options, model, new, cluster, after=[], quarantined=quarantined
                )
                compared = compare(in_use, verified, model, verification, cluster)
                with dsl.If(compared.outputs["verdict"] == "better", name="better"):
                    deliver(verified.bundle, model, new, delivery, cluster, secrets)

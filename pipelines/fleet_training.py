"""One model per asset or site, trained in parallel: preflight -> for each (data -> ... -> verify) -> summary."""

from kfp import dsl

from kfp_edge.components.fleet_summary.component import fleet_summary
from kfp_edge.pipelines._cluster_parameters import ClusterParameters
from kfp_edge.pipelines._parameters import DataOptions, DataSource, Fleet, ModelName, Training, Verification
from kfp_edge.pipelines._preflight_steps import check_run
from kfp_edge.pipelines._training_steps import train_and_verify
from kfp_edge.spec.parameters.groups import pipeline


@pipeline(name="fleet-training", description="Train one model for each asset or site, and compare them.")
def fleet_training(
    fleet: Fleet,
    options: DataOptions,
    training_options: Training,
    verification: Verification,
    cluster: ClusterParameters,
) -> None:
    """Train and verify a model for each asset."""
    checked = check_run(fleet, options, training_options, verification, cluster=cluster)
    with dsl.ParallelFor(items=fleet.assets, name="asset", parallelism=8) as asset:
        source = DataSource(data=asset.data)
        name = ModelName(model_name=asset.model_name)  # not `asset.name`: the loop has one of its own
        verified = train_and_verify(source, options, training_options, name, verification, cluster, after=[checked])
    compared = fleet_summary(bundles=dsl.Collected(verified.bundle))
    cluster.configure_light(compared)

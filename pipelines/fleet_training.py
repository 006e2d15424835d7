"""One model per asset or site, trained in parallel: for each (data -> train -> export -> verify) -> summary."""

from kfp import dsl

from kfp_edge.components.fleet_summary.component import fleet_summary
from kfp_edge.pipelines import training  # the module: `kfp dsl compile` wants one pipeline in a file
from kfp_edge.pipelines._cluster_parameters import ClusterParameters
from kfp_edge.pipelines._parameters import AnomalyOptions, DataOptions, Fleet, Verification
from kfp_edge.spec.parameter_groups import arguments, pipeline


@pipeline(name="fleet-training", description="Train one model for each asset or site, and compare them.")
def fleet_training(
    fleet: Fleet,
    options: DataOptions,
    anomaly: AnomalyOptions,
    verification: Verification,
    cluster: ClusterParameters,
) -> None:
    """Train and verify a model for each asset."""
    with dsl.ParallelFor(items=fleet.assets, name="asset", parallelism=8) as asset:
        trained = training.training(
            data=asset.data,
            model_name=asset.model_name,  # not `name`: the loop has one of its own
            **arguments(options, anomaly, verification, cluster),
        )
    compared = fleet_summary(bundles=dsl.Collected(trained.outputs["bundle"]))
    cluster.configure_light(compared)

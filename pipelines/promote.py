"""One step of a rollout, to be run on a schedule: the next ring, if the rings before it are healthy."""

from kfp_edge.components.promote import component
from kfp_edge.pipelines._cluster_parameters import (
    DeliverySecrets,
    MetricsSecret,
    PodParameters,
    disable_caching,
    set_retries,
)
from kfp_edge.pipelines._parameters import Promotion
from kfp_edge.spec.parameters.groups import arguments, pipeline


@pipeline(name="promote", description="Propose a release to the next ring of the fleet, or its rollback.")
def promote(promotion: Promotion, pods: PodParameters, secrets: DeliverySecrets, metrics: MetricsSecret) -> None:
    """Judge a rollout by what the sites report, and propose what follows."""
    judged = component.promote(**arguments(promotion))
    pods.configure_light(judged)
    secrets.use_registry_secret(judged)
    secrets.use_git_secret(judged)
    metrics.use_metrics_secret(judged)
    disable_caching(judged)
    set_retries(judged)

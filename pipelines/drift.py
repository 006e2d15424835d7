"""One look at whether a model still fits what its sites see, to be run on a schedule."""

from kfp_edge.components.drift import component
from kfp_edge.pipelines._cluster_parameters import ClusterParameters, MetricsSecret, disable_caching, set_retries
from kfp_edge.pipelines._parameters import Drift
from kfp_edge.spec.parameters.groups import arguments, pipeline


@pipeline(name="drift", description="Decide whether a model still fits what its sites see.")
def drift(watched: Drift, cluster: ClusterParameters, metrics: MetricsSecret) -> None:
    """Compare what the servers of a model counted with its training."""
    decided = component.drift(**arguments(watched))
    cluster.configure_compute(decided)
    cluster.use_data_connection(decided)
    metrics.use_metrics_secret(decided)
    disable_caching(decided)
    set_retries(decided)

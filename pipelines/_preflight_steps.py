"""The stage that every pipeline begins with; a pipeline that calls one of these functions gets the task."""

from kfp.dsl import PipelineTask

from kfp_edge.components.preflight.component import preflight
from kfp_edge.pipelines._cluster_parameters import ClusterParameters, DeliverySecrets, disable_caching
from kfp_edge.pipelines._parameters import Delivery
from kfp_edge.spec.parameters.groups import ParameterGroup, inputs_of


def check_run(*groups: ParameterGroup, cluster: ClusterParameters) -> PipelineTask:
    """Add the check of all parameters, and of the data that they name."""
    checked = preflight(**inputs_of(preflight, *groups))
    cluster.configure_light(checked)
    cluster.use_data_connection(checked)
    disable_caching(checked)
    return checked


def check_delivery(
    *groups: ParameterGroup, delivery: Delivery, cluster: ClusterParameters, secrets: DeliverySecrets
) -> PipelineTask:
    """Add the same check, and that of the registry and the repository that the run delivers to."""
    checked = check_run(*groups, delivery, cluster=cluster)
    secrets.use_registry_secret(checked)
    secrets.use_git_secret(checked)
    return checked

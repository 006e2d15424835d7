"""Takes a ring back to the image that it ran before."""

from kfp_edge.components.rollback import component
from kfp_edge.pipelines._cluster_parameters import DeliverySecrets, PodParameters, disable_caching, set_retries
from kfp_edge.pipelines._parameters import Rollback
from kfp_edge.spec.parameters.groups import arguments, pipeline


@pipeline(name="rollback", description="Propose that a ring of the fleet runs the image again that it ran before.")
def rollback(back: Rollback, pods: PodParameters, secrets: DeliverySecrets) -> None:
    """Propose the rollback of a ring."""
    proposed = component.rollback(**arguments(back))
    pods.configure_light(proposed)
    secrets.use_registry_secret(proposed)
    secrets.use_git_secret(proposed)
    disable_caching(proposed)
    set_retries(proposed)

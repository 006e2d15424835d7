"""The stages around a retraining; a pipeline that calls these functions gets the tasks."""

from kfp import dsl
from kfp.dsl import PipelineTask

from kfp_edge.components.claim_retraining.component import claim_retraining
from kfp_edge.components.compare_models.component import compare_models
from kfp_edge.components.drift.component import drift
from kfp_edge.components.fetch_champion.component import fetch_champion
from kfp_edge.pipelines._cluster_parameters import (
    ClusterParameters,
    DeliverySecrets,
    MetricsSecret,
    disable_caching,
    set_retries,
)
from kfp_edge.pipelines._parameters import Delivery, RetrainedModel, Verification
from kfp_edge.pipelines._training_steps import VerifiedModel
from kfp_edge.spec.parameters.groups import inputs_of


def look_for_drift(
    model: RetrainedModel, cluster: ClusterParameters, metrics: MetricsSecret, *, after: PipelineTask
) -> PipelineTask:
    """Add the look at what the servers of the model counted."""
    judged = drift(**inputs_of(drift, model)).after(after)
    cluster.configure_compute(judged)
    cluster.use_data_connection(judged)
    metrics.use_metrics_secret(judged)
    disable_caching(judged)
    set_retries(judged)
    return judged


def claim(model: RetrainedModel, cluster: ClusterParameters) -> PipelineTask:
    """Add the claim on the retraining."""
    claimed = claim_retraining(run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER, **inputs_of(claim_retraining, model))
    cluster.configure_light(claimed)
    cluster.use_data_connection(claimed)
    disable_caching(claimed)
    set_retries(claimed)
    return claimed


def fetch_model_in_use(
    model: RetrainedModel,
    verification: Verification,
    delivery: Delivery,
    cluster: ClusterParameters,
    secrets: DeliverySecrets,
) -> PipelineTask:
    """Add the fetching of the model that the ring runs now."""
    fetched = fetch_champion(**inputs_of(fetch_champion, model, verification, delivery))
    cluster.configure_light(fetched)
    secrets.use_registry_secret(fetched)
    secrets.use_git_secret(fetched)
    disable_caching(fetched)
    set_retries(fetched)
    return fetched


def compare(
    champion: PipelineTask,
    verified: VerifiedModel,
    model: RetrainedModel,
    verification: Verification,
    cluster: ClusterParameters,
) -> PipelineTask:
    """Add the comparison of the new model with the one in use."""
    compared = compare_models(
        bundle=verified.bundle,
        champion=champion.outputs["champion"],
        test_data=verified.test_data,
        compared_metric=model.compared_metric,
        champion_margin=verification.champion_margin,
    )
    cluster.configure_compute(compared)
    return compared

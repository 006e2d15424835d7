"""The stages that every delivery ends with; a pipeline that calls these functions gets the tasks."""

from kfp import dsl
from kfp.dsl.pipeline_channel import PipelineArtifactChannel

from kfp_edge.components.clean_up.component import clean_up
from kfp_edge.components.containerize.component import containerize
from kfp_edge.components.gitops_commit.component import gitops_commit
from kfp_edge.components.release.component import release
from kfp_edge.components.staging_test.component import staging_test
from kfp_edge.pipelines._cluster_parameters import ClusterParameters, DeliverySecrets, disable_caching, set_retries
from kfp_edge.pipelines._parameters import Delivery, ModelName, Verification
from kfp_edge.spec.parameters.groups import ParameterGroup, inputs_of

_RUN_ID = dsl.PIPELINE_JOB_ID_PLACEHOLDER


def clean_up_on_exit(
    delivery: Delivery, cluster: ClusterParameters, claim: ParameterGroup | None = None
) -> dsl.ExitHandler:
    """Return a block after which, whether it succeeds or fails, the run's objects in the cluster are deleted.

    `claim` has the parameters of a claim on the retraining of a model, which ends then.
    """
    claimed = {} if claim is None else inputs_of(clean_up, claim)
    cleaned = clean_up(run_id=_RUN_ID, staging_options=delivery.staging_options, **claimed)
    cluster.configure_light(cleaned)
    cluster.use_data_connection(cleaned)  # builds keep their context in the object store
    disable_caching(cleaned)
    set_retries(cleaned)
    return dsl.ExitHandler(cleaned, name="delivered")


def deliver(
    bundle: PipelineArtifactChannel,
    name: ModelName,
    verification: Verification,
    delivery: Delivery,
    cluster: ClusterParameters,
    secrets: DeliverySecrets,
) -> None:
    """Add containerize -> staging test -> release -> GitOps commit."""
    candidate = containerize(
        bundle=bundle,
        registry=delivery.registry,
        serving_image=delivery.serving_image,
        revision=verification.revision,
        build=delivery.build,
        build_options=delivery.build_options,
        run_id=_RUN_ID,
        format=delivery.format,
        modelcar_base=delivery.modelcar_base,
    )
    tested = staging_test(
        image=candidate.output,
        bundle=bundle,
        max_latency_ms=delivery.staging_max_latency_ms,
        startup_timeout=delivery.startup_timeout,
        staging=delivery.staging,
        staging_options=delivery.staging_options,
        run_id=_RUN_ID,
        serving_image=delivery.serving_image,
    )
    released = release(
        image=tested.outputs["Output"],
        registry=delivery.registry,
        model_name=name.model_name,
        model_version=verification.model_version,
    )
    committed = gitops_commit(
        image=released.outputs["image"],
        bundle=bundle,
        model_name=name.model_name,
        model_version=verification.model_version,
        gitops_repo=delivery.gitops_repo,
        gitops_branch=delivery.gitops_branch,
        ring=delivery.ring,
        gitops_target=delivery.gitops_target,
        pull_requests=delivery.pull_requests,
        staging_report=tested.outputs["report"],
        format=delivery.format,
    )
    cluster.configure_light(candidate, tested, released, committed)
    cluster.use_data_connection(candidate)
    secrets.use_registry_secret(candidate, tested, released, committed)
    secrets.use_git_secret(committed)
    set_retries(candidate, released, committed)
    disable_caching(candidate, tested, released, committed)

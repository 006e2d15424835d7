"""The stages that every delivery ends with, drawn into the pipeline that calls them."""

from typing import Any

from kfp import dsl

from kfp_edge.components.clean_up.component import clean_up
from kfp_edge.components.containerize.component import containerize
from kfp_edge.components.gitops_commit.component import gitops_commit
from kfp_edge.components.release.component import release
from kfp_edge.components.staging_test.component import staging_test
from kfp_edge.pipelines._task_config import TaskConfig, retried, uncached

_RUN = dsl.PIPELINE_JOB_ID_PLACEHOLDER


def cleaned_up(cluster: TaskConfig, staging_options: Any) -> dsl.ExitHandler:
    """Draw a block behind which, whatever happens in it, nothing of the run stays in the cluster."""
    cleaning = clean_up(run_id=_RUN, staging_options=staging_options)
    cluster.small(cleaning)
    cluster.reads_data(cleaning)  # builds keep their context in the object store
    uncached(cleaning)
    retried(cleaning)
    return dsl.ExitHandler(cleaning, name="delivered")


def deliver(
    bundle: Any,
    cluster: TaskConfig,
    *,
    model_name: Any,
    model_version: Any,
    revision: Any,
    serving_image: Any,
    registry: Any,
    gitops_repo: Any,
    gitops_branch: Any,
    site: Any,
    namespace: Any,
    build: Any,
    build_options: Any,
    staging: Any,
    staging_options: Any,
) -> None:
    """Draw containerize -> staging test -> release -> GitOps commit."""
    candidate = containerize(
        bundle=bundle,
        registry=registry,
        serving_image=serving_image,
        revision=revision,
        build=build,
        build_options=build_options,
        run_id=_RUN,
    )
    tested = staging_test(
        image=candidate.output, bundle=bundle, staging=staging, staging_options=staging_options, run_id=_RUN
    )
    released = release(
        image=tested.outputs["Output"], registry=registry, model_name=model_name, model_version=model_version
    )
    committed = gitops_commit(
        image=released.outputs["image"],
        model_name=model_name,
        model_version=model_version,
        gitops_repo=gitops_repo,
        gitops_branch=gitops_branch,
        site=site,
        namespace=namespace,
    )
    cluster.small(candidate, tested, released, committed)
    cluster.reads_data(candidate)
    cluster.reaches_registry(candidate, tested, released)
    cluster.reaches_git(committed)
    retried(candidate, released, committed)
    uncached(candidate, tested, released, committed)

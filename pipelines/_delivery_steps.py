"""The stages that every delivery ends with, drawn into the pipeline that calls them."""

from typing import Any, NamedTuple

from kfp_edge.components.containerize.component import containerize
from kfp_edge.components.gitops_commit.component import gitops_commit
from kfp_edge.components.release.component import release
from kfp_edge.components.staging_test.component import staging_test


class Delivered(NamedTuple):
    """What a delivery ends in: the released image by digest, and the commit that proposes it."""

    image: str
    git_repository: str
    git_branch: str
    git_commit: str
    git_committed: bool


def deliver(
    bundle: Any,
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
) -> Delivered:
    """Draw containerize -> staging test -> release -> GitOps commit."""
    candidate = containerize(bundle=bundle, registry=registry, serving_image=serving_image, revision=revision)
    tested = staging_test(image=candidate.output, bundle=bundle)
    released = release(
        image=tested.outputs["Output"], registry=registry, model_name=model_name, model_version=model_version
    )
    committed = gitops_commit(
        image=released.output,
        model_name=model_name,
        model_version=model_version,
        gitops_repo=gitops_repo,
        gitops_branch=gitops_branch,
        site=site,
        namespace=namespace,
    )
    for task in (candidate, tested, released, committed):
        task.set_caching_options(False)  # they change the world outside: a cached answer would be a lie
    return Delivered(
        image=released.output,
        git_repository=committed.outputs["git_repository"],
        git_branch=committed.outputs["git_branch"],
        git_commit=committed.outputs["git_commit"],
        git_committed=committed.outputs["git_committed"],
    )

"""The KFP component definition of `rollback`."""

from typing import NamedTuple

from kfp.dsl import Markdown, Output

from kfp_edge.runtime.component import component


@component
def rollback(
    model_name: str,
    gitops_repo: str,
    change: Output[Markdown],
    gitops_branch: str = "main",
    ring: str = "",
    digest: str = "",
    reason: str = "",
    image_registry: str = "",
) -> NamedTuple("Outputs", [("branch", str), ("pull_request", str)]):
    """Propose that a ring runs the image again that it ran before.

    Args:
        model_name: Name of the model, a DNS label such as `press-failure`. It names the bundle, the image and the
            folder at the edge.
        gitops_repo: The GitOps repository: an `https://` URL, a `file://` URL, or the folder of a bare repository.
        gitops_branch: Branch that the sites follow, and into which the review branch is to be merged.
        ring: The ring whose sites get the model, such as `canary`. If empty, it is the first ring of `fleet.yaml`.
        digest: Which image that the ring had, or the first digits of its digest. If empty, the one before the present
            one, by the history of the ring's file.
        reason: Why, for the reviewer: one sentence.
        image_registry: Where this run finds the images, `docker://HOST/REPO` or `oci:FOLDER`, if not where the sites
            do.

    Returns:
        branch: The review branch.
        pull_request: URL of its pull request, where `fleet.yaml` names a forge.
        change: The images before and after, the sites, and the change of their objects, for the reviewer.
    """
    from kfp_edge.runtime.stage import stage

    with stage("rollback") as warnings:
        from pathlib import Path

        from kfp_edge.components.rollback.run import run

        request = (model_name, gitops_repo, gitops_branch, ring, digest, reason, image_registry)
        proposed = run(*request, Path(change.path))
        warnings.extend(proposed.warnings)
        return (proposed.change.branch, proposed.proposed.pull_request.url if proposed.proposed else "")

"""The KFP component definition of `promote`."""

from typing import NamedTuple

from kfp.dsl import Markdown, Output

from kfp_edge.runtime.component import component


@component
def promote(
    model_name: str,
    gitops_repo: str,
    rollout: Output[Markdown],
    gitops_branch: str = "main",
    to: str = "",
    image_registry: str = "",
) -> NamedTuple("Outputs", [("verdict", str), ("branches", list), ("pull_requests", list)]):
    """Propose a release to the next ring if the rings before it are healthy, or its rollback where they are not.

    Args:
        model_name: Name of the model, a DNS label such as `press-failure`. It names the bundle, the image and the
            folder at the edge.
        gitops_repo: The GitOps repository: an `https://` URL, a `file://` URL, or the folder of a bare repository.
        gitops_branch: Branch that the sites follow, and into which the review branch is to be merged.
        to: The ring that is to get the release of the ring before. If empty, it is the first one that does not have
            what the first ring runs.
        image_registry: Where this run finds the images, `docker://HOST/REPO` or `oci:FOLDER`, if not where the sites
            do.

    Returns:
        verdict: `go on`, `wait` or `abort`; after `abort`, the rollback is proposed.
        branches: The review branches that were proposed: none, that of the promotion, or those of the rollbacks.
        pull_requests: URLs of their pull requests, where `fleet.yaml` names a forge.
        rollout: Each number that was looked at with its limit, and the text of what was proposed.
    """
    from kfp_edge.runtime.stage import stage

    with stage("promote") as warnings:
        from pathlib import Path

        from kfp_edge.components.promote.run import run

        result = run(model_name, gitops_repo, gitops_branch, to, image_registry, Path(rollout.path))
        warnings.extend(result.warnings)
        return (result.verdict, result.branches, result.pull_requests)

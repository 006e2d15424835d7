"""The KFP component definition of `gitops_commit`."""

from typing import NamedTuple

from kfp.dsl import Artifact, Input, Markdown, Output

from kfp_edge.runtime.component import component


@component
def gitops_commit(
    image: str,
    bundle: Input[Artifact],
    model_name: str,
    model_version: str,
    gitops_repo: str,
    change: Output[Markdown],
    gitops_branch: str = "main",
    ring: str = "",
    gitops_target: dict = {},
    pull_requests: dict = {},
    staging_report: Input[Markdown] = None,  # in a pod, KFP takes no Optional artifact
    format: str = "image",
) -> NamedTuple(
    "Outputs",
    [
        ("git_repository", str),
        ("git_branch", str),
        ("git_commit", str),
        ("git_committed", bool),
        ("git_pull_request", str),
    ],
):
    """Commit a released image to a review branch of the GitOps repository, and open its pull request.

    Args:
        image: The released image by digest, `docker://HOST/REPO/MODEL@sha256:...` or `oci:FOLDER/MODEL@sha256:...`.
        bundle: The bundle in the image, written by `verify`; its metrics, positive class and checks are in the commit
            message and in the pull request.
        model_name: Name of the model, a DNS label such as `press-failure`. It names the bundle, the image and the
            folder at the edge.
        model_version: Version of the model, such as `1.4.0`: the tag of the released image, and part of the name of the
            review branch.
        gitops_repo: The GitOps repository: an `https://` URL, a `file://` URL, or the folder of a bare repository.
        gitops_branch: Branch that the sites follow, and into which the review branch is to be merged.
        ring: The ring whose sites get the model, such as `canary`. If empty, it is the first ring of `fleet.yaml`.
        gitops_target: Where a repository of another layout names the image: `{file: PATH, image: NAME}` for an entry of
            `images` in a kustomization, or `{file: PATH, yaml_path: image.digest}` for a value of any YAML file, such
            as those of Helm. If empty, the repository has the layout of kfp-edge.
        pull_requests: How the pull request is opened, in place of `pullRequests` of `fleet.yaml` and with the same
            keys, such as `{forge: gitlab, labels: [release]}`. A new `fleet.yaml` gets them, too. If both are empty,
            only the branch is pushed.
        staging_report: The report of `staging_test`, whose checks are in the commit message and in the pull request.
        format: What the image is: `image`, a container with the inference server, or `modelcar`, the model alone, for
            KServe's `oci://` addresses.

    Returns:
        git_repository: The repository, without credentials.
        git_branch: The review branch, or the base branch if that has the digest already.
        git_commit: The commit that has the digest.
        git_committed: True if this run made the commit, false if the digest was there already.
        git_pull_request: URL of the pull request, empty where no forge is configured.
        change: The text of the pull request, with repository, branch, commit and diff, for the reviewer.
    """
    from kfp_edge.runtime.stage import stage

    with stage("gitops_commit") as warnings:
        from pathlib import Path

        from kfp_edge.components.gitops_commit.run import Inputs, run
        from kfp_edge.images.model_format import ModelFormat
        from kfp_edge.reports.check import METADATA_KEY

        tested = staging_report.metadata.get(METADATA_KEY, "") if staging_report else ""
        verified = bundle.metadata.get(METADATA_KEY, "")
        inputs = Inputs(image, Path(bundle.path), verified, tested, ModelFormat.parse(format))
        where = (gitops_repo, gitops_branch, ring, gitops_target, pull_requests)
        result = run(model_name, model_version, inputs, *where, Path(change.path))
        warnings.extend(result.warnings)
        made = result.change
        url = result.proposed.pull_request.url if result.proposed else ""
        return (made.repository, made.branch, made.commit, made.committed, url)

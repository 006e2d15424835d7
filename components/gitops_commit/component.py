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
) -> NamedTuple(
    "Outputs", [("git_repository", str), ("git_branch", str), ("git_commit", str), ("git_committed", bool)]
):
    """Commit a released image to a review branch of the GitOps repository; the same digest is committed only once.

    Args:
        image: The released image by digest, `docker://HOST/REPO/MODEL@sha256:...` or `oci:FOLDER/MODEL@sha256:...`.
        bundle: The bundle in the image, written by `verify`; its metrics and positive class are in the commit message.
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

    Returns:
        git_repository: The repository, without credentials.
        git_branch: The review branch, or the base branch if that has the digest already.
        git_commit: The commit that has the digest.
        git_committed: True if this run made the commit, false if the digest was there already.
        change: Repository, branch, commit and diff, for the reviewer.
    """
    from kfp_edge.runtime.stage import stage

    with stage("gitops_commit") as warnings:
        from pathlib import Path

        from kfp_edge.components.gitops_commit.gitops_commit import Destination, Release, commit_release
        from kfp_edge.components.gitops_commit.model_summary import summarize_model
        from kfp_edge.components.gitops_commit.report import render_report
        from kfp_edge.git.remote import GitRemote
        from kfp_edge.gitops.target import FileTarget
        from kfp_edge.images.oci.references import ImageRef
        from kfp_edge.ml.bundle import Bundle
        from kfp_edge.storage.files import write_file

        ref = ImageRef.parse(image)
        name = ref.repository if ref.transport == "docker" else f"localhost/{ref.name}"
        released = Bundle.load(Path(bundle.path))
        summary = summarize_model(released.manifest, released.signature)
        release = Release(model_name, model_version, name, ref.digest, summary)
        place = FileTarget.parse(gitops_target) if gitops_target else None
        result = commit_release(release, Destination(GitRemote.parse(gitops_repo), gitops_branch, ring, place))
        warnings.extend(result.warnings)
        write_file(Path(change.path), render_report(result, summary).encode())
        return (result.repository, result.branch, result.commit, result.committed)

"""The KFP component definition of `fetch_champion`."""

from typing import NamedTuple

from kfp.dsl import Artifact, Output

from kfp_edge.runtime.component import component


@component
def fetch_champion(
    model_name: str,
    gitops_repo: str,
    champion: Output[Artifact],
    gitops_branch: str = "main",
    ring: str = "",
    gitops_target: dict = {},
    registry: str = "",
    model_version: str = "0.1.0",
) -> NamedTuple("Outputs", [("version", str), ("digest", str), ("next_version", str)]):
    """Fetch the bundle of the model that a ring runs now, from its image in the registry.

    Args:
        model_name: Name of the model, a DNS label such as `press-failure`. It names the bundle, the image and the
            folder at the edge.
        gitops_repo: The GitOps repository: an `https://` URL, a `file://` URL, or the folder of a bare repository.
        gitops_branch: Branch that the sites follow, and into which the review branch is to be merged.
        ring: The ring whose sites get the model, such as `canary`. If empty, it is the first ring of `fleet.yaml`.
        gitops_target: Where a repository of another layout names the image: `{file: PATH, image: NAME}` for an entry of
            `images` in a kustomization, or `{file: PATH, yaml_path: image.digest}` for a value of any YAML file, such
            as those of Helm. If empty, the repository has the layout of kfp-edge.
        registry: Where images are pushed: `docker://HOST[:PORT]/REPO`, or `oci:FOLDER` for OCI layouts in a folder.
        model_version: Version of the model, such as `1.4.0`: the tag of the released image, and part of the name of the
            review branch.

    Returns:
        version: Version of the model in use; empty if the ring has no such model yet.
        digest: Digest of its image.
        next_version: A version for the new model: that in use with the last number increased, until the registry has
            no image of it.
        champion: A folder with `bundle/`, if the ring has the model, and with `champion.json`: ring, image and version.
    """
    from kfp_edge.runtime.stage import stage

    with stage("fetch_champion") as warnings:
        from pathlib import Path

        from kfp_edge.components.fetch_champion.fetch_champion import Place, fetch_champion

        place = Place(gitops_repo, gitops_branch, ring, gitops_target)
        result = fetch_champion(model_name, place, registry, model_version, Path(champion.path))
        warnings.extend(result.warnings)
        return (result.version, result.digest, result.next_version)

"""The names of review branches."""


def review_branch(model: str, version: str, ring: str = "") -> str:
    """Return the branch on which a version of a model is proposed: to the first ring, or to the one that is named."""
    return f"kfp-edge/{model}/{version}@{ring}" if ring else f"kfp-edge/{model}/{version}"


def rollback_branch(model: str, digest: str, ring: str) -> str:
    """Return the branch on which a ring is taken back from an image.

    It has a name for each digest: a pull request that a person closed must not be in the way of the next rollback.
    """
    return f"kfp-edge/{model}/rollback-{digest.removeprefix('sha256:')[:12]}@{ring}"

"""Labels of ours, beside the pre-defined keys of the OCI Image Specification ("Annotations")."""

BUNDLE_LABEL = "io.kfp-edge.bundle.sha256"
MODEL_LABEL = "io.kfp-edge.model.sha256"
HEALTHCHECK_LABEL = "io.kfp-edge.healthcheck"
#: A pre-defined one: the digest of what an image is built on.
BASE_DIGEST_LABEL = "org.opencontainers.image.base.digest"

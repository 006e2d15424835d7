"""Media types of OCI images (OCI Image Specification, "OCI Image Media Types") and what Docker calls the same."""

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
TAR_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
GZIP_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
ZSTD_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+zstd"
DOCKER_CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER_TYPE = "application/vnd.docker.image.rootfs.diff.tar.gzip"
#: What an index says of an image with layers in zstd (containers/image): without it, newer versions of Skopeo do not
#: copy the index as it is.
ZSTD_ANNOTATIONS = {"io.github.containers.compression.zstd": "true"}
#: An image in Docker's format, which a layout of OCI cannot hold.
DOCKER_TYPES = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
#: The index of OCI, and Docker's manifest list.
INDEX_TYPES = (INDEX_TYPE, "application/vnd.docker.distribution.manifest.list.v2+json")
#: Everything that a digest of a registry may name as an image.
MANIFEST_TYPES = (MANIFEST_TYPE, INDEX_TYPE, *DOCKER_TYPES)

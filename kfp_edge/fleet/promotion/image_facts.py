"""What a reviewer should know of an image, and what a site downloads, from its registry."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from kfp_edge.errors import ImageError
from kfp_edge.gitops.images import Image
from kfp_edge.images.oci.documents import ImageManifest
from kfp_edge.images.oci.references import ImageRef, ImageRegistry, ImageRepository
from kfp_edge.images.registry import is_complete, read_labels, read_manifest, select_platform

VERSION_LABEL = "org.opencontainers.image.version"


@dataclass(frozen=True)
class ImageFacts:
    """An image in its registry; of an index, the image for this machine's processor."""

    labels: Mapping[str, str] = field(default_factory=dict)
    #: Compressed bytes of its configuration and layers, by their digests.
    blobs: Mapping[str, int] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """The version of the model, empty if the image has none."""
        return self.labels.get(VERSION_LABEL, "")

    @property
    def size(self) -> int:
        """Bytes that a site without any of its layers downloads."""
        return sum(self.blobs.values())

    def missing_in(self, other: "ImageFacts") -> int:
        """Return the bytes that a site downloads which has the other image."""
        return sum(size for digest, size in self.blobs.items() if digest not in other.blobs)


def locate_image(image: Image, registry: str = "") -> ImageRef:
    """Return the reference of a ring's image.

    Args:
        image: With its name for registries.
        registry: `docker://HOST/REPO` or `oci:FOLDER`, if this machine finds the images elsewhere than the sites do.

    Raises:
        ImageError: it is in no registry, or `registry` is no such place.
    """
    if registry:
        return ImageRegistry.parse(registry).releases(image.new_name.rpartition("/")[2]).image(image.digest)
    if image.new_name.startswith("localhost/"):
        raise ImageError(
            f"{image.new_name} was released to a folder on one machine, which no site reaches; release it to a "
            "registry, or name the folder with --registry oci:FOLDER."
        )
    return ImageRepository("docker", image.new_name).image(image.digest)


def require_image(image: Image, registry: str = "") -> ImageFacts:
    """Return the facts of an image that sites are going to pull.

    Raises:
        ImageError: the registry does not have it, with all its platforms, or refuses.
    """
    reference = locate_image(image, registry)
    if not is_complete(reference):
        raise ImageError(
            f"{reference.home} does not have {image.digest} (any more), so that no site could pull it; push the image "
            "again, or name another digest."
        )
    return read_facts(reference)


def find_image(image: Image, registry: str = "") -> ImageFacts:
    """Return the facts of an image that is only compared with; none if the registry does not give them."""
    try:
        return read_facts(locate_image(image, registry))
    except ImageError:
        return ImageFacts()


def version_of(facts: ImageFacts, image: Image) -> str:
    """Return what a release is called in the names of branches: its version, or the beginning of its digest."""
    return facts.version or image.digest.removeprefix("sha256:")[:12]


def read_if_there(reference: ImageRef) -> ImageFacts:
    """Return the facts of an image that is only compared with; none if its repository does not give them."""
    try:
        return read_facts(reference)
    except ImageError:
        return ImageFacts()


def read_facts(reference: ImageRef) -> ImageFacts:
    """Return the facts of an image.

    Raises:
        ImageError: it is not there, or the registry refuses.
    """
    platform = select_platform(reference)
    return ImageFacts(read_labels(platform), _blobs(read_manifest(platform)))


def _blobs(manifest: ImageManifest) -> dict[str, int]:
    return {blob["digest"]: blob["size"] for blob in (manifest["config"], *manifest["layers"])}

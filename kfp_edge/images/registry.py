"""Reading and copying images of registries and of OCI image layout folders, always by digest.

How a registry is reached is documented in `kfp_edge.images.tools.skopeo`.
"""

import fcntl
import json
import os
import platform
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kfp_edge.errors import ImageError
from kfp_edge.images.oci.documents import Descriptor, ImageConfig, ImageManifest, PlatformFields
from kfp_edge.images.oci.layout import (
    ONLY_TAG,
    blob_path,
    find_image,
    find_tag,
    read_blob_json,
    write_index,
)
from kfp_edge.images.oci.media_types import CONFIG_TYPE, DOCKER_CONFIG_TYPE, DOCKER_TYPES
from kfp_edge.images.oci.references import ImageRef, ImageRepository
from kfp_edge.images.platforms import architecture_of
from kfp_edge.images.tools.skopeo import MissingImageError, registry_flags, skopeo
from kfp_edge.runtime.signals import deferred_signals
from kfp_edge.storage.files import sha256_bytes, sha256_file


def copy_image(source: ImageRef, destination: ImageRepository, tag: str) -> ImageRef:
    """Copy an image, every byte as it is, and tag it there; return it as the destination names it.

    An index is copied with the images of all its platforms. In a registry, each of them gets a tag of its own, such as
    `1.4.0-arm64`: garbage collection of untagged manifests removes what only an index names (Distribution 2.8).

    Raises:
        ImageError: a side refuses, or the destination then reports another digest.
    """
    _copy(source, destination, tag, "--all", "--preserve-digests")
    reported = find_digest(destination, tag)
    if reported != source.digest:
        raise ImageError(f"{destination}:{tag} reports {reported} after {source} was copied there; push it again.")
    copied = destination.image(source.digest)
    if destination.transport == "docker":
        for entry in linux_images(copied):
            _copy(destination.image(entry["digest"]), destination, f"{tag}-{_suffix(entry)}", "--preserve-digests")
    return copied


def copy_to_layout(source: ImageRef, layout: ImageRepository, tag: str) -> ImageRef:
    """Copy an image into a layout of OCI, tag it there, and return it as the layout names it.

    One in Docker's format becomes one in OCI's, which has another digest; the layers keep theirs.

    Raises:
        ImageError: a side refuses.
    """
    if read_manifest(source)["mediaType"] not in DOCKER_TYPES:
        return copy_image(source, layout, tag)
    _copy(source, layout, tag, "--all", "--format", "oci")
    digest = find_digest(layout, tag)
    if digest is None:
        raise ImageError(f"{layout} does not have {source} after it was copied there; run again.")
    return layout.image(digest)


def is_complete(image: ImageRef) -> bool:
    """Whether the repository has the image and, if it is an index, the images of all its platforms.

    Raises:
        ImageError: the repository refuses or cannot be reached.
    """
    if not image_exists(image):
        return False
    entries = read_manifest(image).get("manifests", [])
    # of an entry without a platform, only the image itself says whether it is one for Linux
    needed = [entry for entry in entries if entry.get("platform", {}).get("os", "linux") == "linux"]
    return all(image_exists(image.home.image(entry["digest"])) for entry in needed)


def _copy(source: ImageRef, destination: ImageRepository, tag: str, *options: str) -> None:
    flags = ["--quiet", *options]
    flags += [*registry_flags("src-", source.home.host), *registry_flags("dest-", destination.host)]
    where = str(source.home if destination.transport == "oci" else destination)
    with skopeo_source(source) as address, _exclusive_writer(destination):
        skopeo("copy", *flags, address, f"{destination}:{tag}", where=where)


def _suffix(entry: Descriptor) -> str:
    """Return the architecture of an index entry, with its variant, as the end of a tag."""
    platform_fields = entry["platform"]
    return "-".join(filter(None, (platform_fields["architecture"], platform_fields.get("variant", ""))))


def find_digest(repository: ImageRepository, tag: str) -> str | None:
    """Return the digest of the manifest that the repository itself gives for a tag; None if it has none.

    Raises:
        ImageError: the repository refuses or cannot be reached.
    """
    if repository.transport == "docker":
        manifest = _inspect_raw(repository, f"{repository}:{tag}")
        return None if manifest is None else f"sha256:{sha256_bytes(manifest)}"
    layout = Path(repository.path)
    descriptor = find_tag(layout, tag)
    return descriptor and f"sha256:{sha256_file(blob_path(layout, descriptor['digest']))}"


def read_manifest(image: ImageRef) -> ImageManifest:
    """Return the manifest of an image, or the index of several (OCI Image Specification, "Image Manifest").

    Raises:
        ImageError: it is not there, is damaged, or its repository refuses.
    """
    manifest: ImageManifest = json.loads(read_manifest_bytes(image))
    return manifest


def read_manifest_bytes(image: ImageRef) -> bytes:
    """Return the manifest of an image byte by byte, as its digest names it.

    Raises:
        ImageError: it is not there, is damaged, or its repository refuses.
    """
    if image.transport == "oci":
        _descriptor(image)
        data: bytes | None = blob_path(Path(image.repository), image.digest).read_bytes()
    else:
        data = _inspect_raw(image.home, str(image))
    if data is None:
        raise _missing(image)
    if f"sha256:{sha256_bytes(data)}" != image.digest:
        raise ImageError(f"the manifest of {image} is damaged (its bytes are not its digest); push the image again.")
    return data


def read_config(image: ImageRef) -> ImageConfig:
    """Return the configuration of an image, which must not be an index (OCI Image Specification, "Configuration").

    Raises:
        ImageError: it is not there, or its repository refuses.
    """
    if image.transport == "oci":
        config: ImageConfig = read_blob_json(Path(image.repository), read_manifest(image)["config"]["digest"])
    else:
        flags = registry_flags("", image.home.host)
        config = json.loads(skopeo("inspect", "--config", *flags, str(image), where=str(image.home)))
    return config


def read_labels(image: ImageRef) -> dict[str, str]:
    """Return the labels of an image, which must not be an index.

    Raises:
        ImageError: it is not there, or its repository refuses.
    """
    labels: dict[str, str] = (read_config(image).get("config") or {}).get("Labels") or {}
    return labels


def image_exists(image: ImageRef) -> bool:
    """Whether the repository has the image.

    Raises:
        ImageError: the repository refuses or cannot be reached.
    """
    if image.transport == "oci":
        return find_image(Path(image.repository), image.digest) is not None
    return _inspect_raw(image.home, str(image)) is not None


def linux_images(image: ImageRef) -> list[Descriptor]:
    """Return the images for Linux of an index, each with its platform; none if `image` is no index.

    An index need not name the platform of an entry: then the configuration of the image has it. Other entries, such as
    attestations, are for no platform that exists, or have no configuration of an image.

    Raises:
        ImageError: one is not there, or the repository refuses.
    """
    entries: list[Descriptor] = [
        {**entry, "platform": fields}
        for entry in read_manifest(image).get("manifests", [])
        if (fields := entry.get("platform") or _read_platform(image.home.image(entry["digest"]))) is not None
    ]
    return [entry for entry in entries if entry["platform"]["os"] == "linux"]


def _read_platform(image: ImageRef) -> PlatformFields | None:
    """Return the platform in the configuration of an image; None if it is no image that a container can be made of."""
    if read_manifest(image).get("config", {}).get("mediaType") not in (CONFIG_TYPE, DOCKER_CONFIG_TYPE):
        return None
    config = read_config(image)
    if not (config.get("os") and config.get("architecture")):
        return None
    fields = PlatformFields(os=str(config["os"]), architecture=str(config["architecture"]))
    if config.get("variant"):
        fields["variant"] = str(config["variant"])
    return fields


def select_platform(image: ImageRef) -> ImageRef:
    """Return the image for this machine's processor when `image` is an index of several, else `image`.

    Raises:
        ImageError: the image is not there, or not for this processor.
    """
    if "manifests" not in read_manifest(image):
        return image
    architecture = architecture_of(platform.machine())
    for entry in linux_images(image):
        if entry["platform"]["architecture"] == architecture:
            return image.home.image(entry["digest"])
    raise ImageError(f"{image} has no image for linux/{architecture}; name one that has.")


def pull_size(image: ImageRef) -> int:
    """Return how many bytes a pull of the image moves here: its compressed layers and its configuration."""
    manifest = read_manifest(select_platform(image))
    return manifest["config"]["size"] + sum(layer["size"] for layer in manifest["layers"])


@contextmanager
def skopeo_source(image: ImageRef) -> Iterator[str]:
    """Yield an address by which skopeo, podman and buildah read exactly this image.

    They find an image of a layout by its tag only, and tags move. So they read a layout through a temporary folder that
    links to its blobs and names this image only.

    Raises:
        ImageError: the layout has no such image.
    """
    if image.transport == "docker":
        yield str(image)
        return
    descriptor = _descriptor(image)
    with tempfile.TemporaryDirectory(prefix="kfp-edge-") as name:
        view = Path(name)
        write_index(view, descriptor)
        (view / "blobs").symlink_to(Path(image.repository) / "blobs", target_is_directory=True)
        yield f"oci:{view}:{ONLY_TAG}"


def _inspect_raw(repository: ImageRepository, address: str) -> bytes | None:
    try:
        return skopeo("inspect", "--raw", *registry_flags("", repository.host), address, where=str(repository)).encode()
    except MissingImageError:
        return None


def _descriptor(image: ImageRef) -> Descriptor:
    descriptor = find_image(Path(image.repository), image.digest)
    if descriptor is None:
        raise _missing(image)
    return descriptor


def _missing(image: ImageRef) -> ImageError:
    return ImageError(f"there is no image {image.digest} in {image.home}; check the reference or build it again.")


@contextmanager
def _exclusive_writer(repository: ImageRepository) -> Iterator[None]:
    """Let one writer at a time into a layout, whose index each rewrites, and put signals off until it has ended."""
    if repository.transport == "docker":
        yield
        return
    try:
        Path(repository.path).mkdir(parents=True, exist_ok=True)
        handle = os.open(repository.path, os.O_RDONLY)
    except OSError as error:
        raise ImageError(f"cannot write images to {repository.path}: {error.strerror}.") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with deferred_signals():
            yield
    finally:
        os.close(handle)

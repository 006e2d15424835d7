"""Images where they live: OCI image layout folders and registries, always named by digest.

Layouts follow the OCI Image Layout Specification, registries the OCI Distribution Specification.
How a registry is reached is said in `kfp_edge.images.skopeo`.
"""

import fcntl
import json
import os
import platform
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kfp_edge.errors import KfpEdgeError
from kfp_edge.images.skopeo import MissingImageError, registry_flags, skopeo
from kfp_edge.runtime.signals import deferred_signals
from kfp_edge.storage.files import canonical_json, read_json, sha256_bytes, sha256_file

ImageTransport = Literal["oci", "docker"]

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
#: The index of OCI, and what Docker calls a manifest list.
INDEX_TYPES = (INDEX_TYPE, "application/vnd.docker.distribution.manifest.list.v2+json")
_REF_NAME = "org.opencontainers.image.ref.name"

# The tag in a layout that holds one image only.
_ONLY = "image"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(_PART)
# A host without a dot or a port would be read as a folder of Docker Hub.
_HOST = re.compile(r"(?:localhost|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+|[A-Za-z0-9-]+(?=:))(?::[0-9]{1,5})?")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class ImageRef:
    """One image by digest: `oci:FOLDER/name@sha256:...` or `docker://HOST/REPO/name@sha256:...`.

    `repository` is the layout's folder (absolute) or `HOST[:PORT]/REPO/name`.
    """

    transport: ImageTransport
    repository: str
    digest: str

    def __post_init__(self) -> None:
        ImageRepository(self.transport, self.repository)
        if not _DIGEST.fullmatch(self.digest):
            raise KfpEdgeError(f"{self.digest!r} is not an image digest; one is sha256: and 64 hex digits.")

    @classmethod
    def parse(cls, text: str) -> "ImageRef":
        """Read what `str(ref)` wrote; a relative layout folder is taken from the current folder.

        Raises:
            KfpEdgeError: the text is not an image reference by digest.
        """
        where, at, digest = text.rpartition("@")
        if not at or not _DIGEST.fullmatch(digest):
            raise KfpEdgeError(f"the image {text!r} is not named by digest; add @sha256: and its 64 hex digits.")
        home = ImageRepository.parse(where)
        return cls(home.transport, home.path, digest)

    @property
    def home(self) -> "ImageRepository":
        """The repository that holds the image."""
        return ImageRepository(self.transport, self.repository)

    @property
    def name(self) -> str:
        """The last part of the repository's path."""
        return self.home.name

    def __str__(self) -> str:
        return f"{self.home}@{self.digest}"


@dataclass(frozen=True)
class ImageRepository:
    """Where the images of one name are kept: a layout folder, or a repository of a registry."""

    transport: ImageTransport
    path: str

    def __post_init__(self) -> None:
        if self.transport == "oci":
            _check_folder(self.path)
        else:
            _check_host_path(self.path)
            if "/" not in self.path:
                raise KfpEdgeError(f"docker://{self.path} names no repository; write docker://HOST/REPO.")

    @classmethod
    def parse(cls, text: str) -> "ImageRepository":
        """Read `oci:FOLDER` or `docker://HOST[:PORT]/REPO`.

        Raises:
            KfpEdgeError: the text is neither.
        """
        return cls(*_split(text))

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def host(self) -> str | None:
        """The registry's `HOST[:PORT]`; None for a layout."""
        return None if self.transport == "oci" else self.path.partition("/")[0]

    def image(self, digest: str) -> ImageRef:
        """Return the reference of an image in here."""
        return ImageRef(self.transport, self.path, digest)

    def __str__(self) -> str:
        return f"oci:{self.path}" if self.transport == "oci" else f"docker://{self.path}"


@dataclass(frozen=True)
class ImageRegistry:
    """Where repositories are kept: a folder of layouts, or a registry (with an organisation)."""

    transport: ImageTransport
    location: str

    @classmethod
    def parse(cls, text: str) -> "ImageRegistry":
        """Read the pipelines' `registry`: `oci:FOLDER` or `docker://HOST[:PORT][/REPO]`.

        Raises:
            KfpEdgeError: the text is neither.
        """
        transport, location = _split(text)
        if transport == "oci":
            _check_folder(location)
        else:
            _check_host_path(location)
        return cls(transport, location)

    def repository(self, name: str) -> ImageRepository:
        """Return the repository of that name.

        Raises:
            KfpEdgeError: a registry would refuse the name.
        """
        if not _NAME.fullmatch(name):
            raise KfpEdgeError(f"{name!r} cannot name an image; use lower-case letters, digits and single . _ or -.")
        return ImageRepository(self.transport, f"{self.location.rstrip('/')}/{name}")

    def candidates(self, model: str) -> ImageRepository:
        """Return the repository of the images of `model` that are not tested yet."""
        return self.repository(f"{model}-candidate")

    def releases(self, model: str) -> ImageRepository:
        """Return the repository of the images of `model` that passed their test."""
        return self.repository(model)


def copy(source: ImageRef, destination: ImageRepository, tag: str) -> ImageRef:
    """Copy an image, every byte as it is, and tag it there; return it as the destination names it.

    An index is copied with the images of all its platforms.

    Raises:
        KfpEdgeError: a side refuses, or the destination then reports another digest.
    """
    flags = ["--quiet", "--all", "--preserve-digests"]
    flags += [*registry_flags("src-", source.home.host), *registry_flags("dest-", destination.host)]
    where = str(source.home if destination.transport == "oci" else destination)
    with skopeo_source(source) as address, _writing(destination):
        skopeo("copy", *flags, address, _tagged(destination, tag), where=where)
    reported = digest_at(destination, tag)
    if reported != source.digest:
        raise KfpEdgeError(f"{destination}:{tag} reports {reported} after {source} was copied there; push it again.")
    return destination.image(source.digest)


def digest_at(repository: ImageRepository, tag: str) -> str | None:
    """Return the digest of the manifest that the repository itself gives for a tag; None if it has none.

    Raises:
        KfpEdgeError: the repository refuses or cannot be reached.
    """
    if repository.transport == "docker":
        manifest = _inspect(repository, _tagged(repository, tag))
        return None if manifest is None else f"sha256:{sha256_bytes(manifest)}"
    for descriptor in _descriptors(Path(repository.path)):
        if descriptor.get("annotations", {}).get(_REF_NAME) == tag:
            return f"sha256:{sha256_file(blob(Path(repository.path), descriptor['digest']))}"
    return None


def manifest_at(image: ImageRef) -> dict[str, Any]:
    """Return the manifest of an image, or the index of several (OCI Image Specification, "Image Manifest").

    Raises:
        KfpEdgeError: it is not there, is damaged, or its repository refuses.
    """
    if image.transport == "oci":
        _descriptor(image)
        data: bytes | None = blob(Path(image.repository), image.digest).read_bytes()
    else:
        data = _inspect(image.home, str(image))
    if data is None:
        raise _absent(image)
    if f"sha256:{sha256_bytes(data)}" != image.digest:
        raise KfpEdgeError(f"the manifest of {image} is damaged (its bytes are not its digest); push the image again.")
    manifest: dict[str, Any] = json.loads(data)
    return manifest


def exists(image: ImageRef) -> bool:
    """Whether the repository has the image.

    Raises:
        KfpEdgeError: the repository refuses or cannot be reached.
    """
    if image.transport == "oci":
        return any(found["digest"] == image.digest for found in _all_descriptors(Path(image.repository)))
    return _inspect(image.home, str(image)) is not None


def platform_image(image: ImageRef) -> ImageRef:
    """Return the image for this machine's processor when `image` is an index of several, else `image`.

    Raises:
        KfpEdgeError: the image is not there, or not for this processor.
    """
    manifest = manifest_at(image)
    if "manifests" not in manifest:
        return image
    machine = _ARCHITECTURES.get(platform.machine(), platform.machine())
    for entry in manifest["manifests"]:
        if (entry.get("platform", {}).get("os"), entry.get("platform", {}).get("architecture")) == ("linux", machine):
            return image.home.image(entry["digest"])
    raise KfpEdgeError(f"{image} has no image for linux/{machine}; name one that has.")


def image_size(image: ImageRef) -> int:
    """Return how many bytes a pull of the image moves here: its compressed layers and its configuration."""
    manifest = manifest_at(platform_image(image))
    return int(manifest["config"]["size"]) + sum(int(layer["size"]) for layer in manifest["layers"])


def blob(layout: Path, digest: str) -> Path:
    """Return the file of a blob in a layout ("blobs/<algorithm>/<encoded>")."""
    return layout / "blobs" / digest.replace(":", "/")


@contextmanager
def skopeo_source(image: ImageRef) -> Iterator[str]:
    """Yield an address by which skopeo, podman and buildah read exactly this image.

    They know images of a layout by tag only, and tags move. So a layout is shown to them
    through a folder that has its blobs and one single image.

    Raises:
        KfpEdgeError: the layout has no such image.
    """
    if image.transport == "docker":
        yield str(image)
        return
    descriptor = _descriptor(image)
    with tempfile.TemporaryDirectory(prefix="kfp-edge-") as name:
        view = Path(name)
        write_index(view, descriptor)
        (view / "blobs").symlink_to(Path(image.repository) / "blobs", target_is_directory=True)
        yield f"oci:{view}:{_ONLY}"


def write_index(layout: Path, descriptor: dict[str, Any]) -> None:
    """Make a folder with blobs a layout of one image ("oci-layout file", "index.json file")."""
    index = {"schemaVersion": 2, "manifests": [{**descriptor, "annotations": {_REF_NAME: _ONLY}}]}
    (layout / "oci-layout").write_bytes(canonical_json({"imageLayoutVersion": "1.0.0"}))
    (layout / "index.json").write_bytes(canonical_json(index))


def _inspect(repository: ImageRepository, address: str) -> bytes | None:
    try:
        return skopeo("inspect", "--raw", *registry_flags("", repository.host), address, where=str(repository)).encode()
    except MissingImageError:
        return None


def _tagged(repository: ImageRepository, tag: str) -> str:
    return f"{repository}:{tag}"


def _descriptors(layout: Path) -> list[dict[str, Any]]:
    if not (layout / "index.json").is_file():
        return []
    manifests: list[dict[str, Any]] = read_json(layout / "index.json")["manifests"]
    return manifests


def _all_descriptors(layout: Path) -> Iterator[dict[str, Any]]:
    """Yield what the layout names, and what is named in its indexes."""
    for descriptor in _descriptors(layout):
        yield descriptor
        file = blob(layout, descriptor["digest"])
        if descriptor.get("mediaType") in INDEX_TYPES and file.is_file():
            yield from read_json(file)["manifests"]


def _descriptor(image: ImageRef) -> dict[str, Any]:
    layout = Path(image.repository)
    for descriptor in _all_descriptors(layout):
        if descriptor["digest"] == image.digest and blob(layout, image.digest).is_file():
            return descriptor
    raise _absent(image)


def _absent(image: ImageRef) -> KfpEdgeError:
    return KfpEdgeError(f"there is no image {image.digest} in {image.home}; check the reference or build it again.")


@contextmanager
def _writing(repository: ImageRepository) -> Iterator[None]:
    """Let one writer at a time into a layout, whose index each rewrites, and let it end what it began."""
    if repository.transport == "docker":
        yield
        return
    try:
        Path(repository.path).mkdir(parents=True, exist_ok=True)
        handle = os.open(repository.path, os.O_RDONLY)
    except OSError as error:
        raise KfpEdgeError(f"cannot write images to {repository.path}: {error.strerror}.") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with deferred_signals():
            yield
    finally:
        os.close(handle)


def _split(text: str) -> tuple[ImageTransport, str]:
    if text.startswith("docker://"):
        return "docker", text.removeprefix("docker://").rstrip("/")
    if text.startswith("oci:") and len(text) > len("oci:"):
        return "oci", str(Path(text.removeprefix("oci:")).expanduser().absolute())
    raise KfpEdgeError(f"{text!r} is no place for images; write oci:FOLDER or docker://HOST/REPO.")


def _check_folder(path: str) -> None:
    if ":" in path or not path.isprintable():
        raise KfpEdgeError(f"the folder {path!r} cannot hold images: its path has a colon or a control character.")
    if not path.startswith("/"):
        raise KfpEdgeError(f"the folder {path!r} of an image layout has to be absolute.")


def _check_host_path(path: str) -> None:
    host, slash, names = path.partition("/")
    if not _HOST.fullmatch(host) or (slash and not all(_NAME.fullmatch(part) for part in names.split("/"))):
        raise KfpEdgeError(
            f"docker://{path} is not a registry's address; write docker://HOST[:PORT]/REPO "
            "with lower-case names, without user, tag or digest."
        )

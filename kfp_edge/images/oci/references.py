"""References to images, repositories and registries; an image is always named by digest.

A repository is an OCI image layout folder (`oci:FOLDER`, OCI Image Layout Specification) or a repository of a
registry (`docker://HOST[:PORT]/REPO`, OCI Distribution Specification).
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kfp_edge.errors import ImageError

ImageTransport = Literal["oci", "docker"]

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(_PART)
# A host without a dot or a port would be read as a folder of Docker Hub.
_HOST = re.compile(r"(?:localhost|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+|[A-Za-z0-9-]+(?=:))(?::[0-9]{1,5})?")


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
            raise ImageError(f"{self.digest!r} is not an image digest; one is sha256: and 64 hex digits.")

    @classmethod
    def parse(cls, text: str) -> "ImageRef":
        """Read what `str(ref)` wrote; a relative layout folder is taken from the current folder.

        Raises:
            ImageError: the text is not an image reference by digest.
        """
        location, at, digest = text.rpartition("@")
        if not at or not _DIGEST.fullmatch(digest):
            raise ImageError(f"the image {text!r} is not named by digest; add @sha256: and its 64 hex digits.")
        home = ImageRepository.parse(location)
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
                raise ImageError(f"docker://{self.path} names no repository; write docker://HOST/REPO.")

    @classmethod
    def parse(cls, text: str) -> "ImageRepository":
        """Read `oci:FOLDER` or `docker://HOST[:PORT]/REPO`.

        Raises:
            ImageError: the text is neither.
        """
        return cls(*_parse_location(text))

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
            ImageError: the text is neither.
        """
        transport, location = _parse_location(text)
        if transport == "oci":
            _check_folder(location)
        else:
            _check_host_path(location)
        return cls(transport, location)

    def __str__(self) -> str:
        return f"oci:{self.location}" if self.transport == "oci" else f"docker://{self.location}"

    def repository(self, name: str) -> ImageRepository:
        """Return the repository of that name.

        Raises:
            ImageError: a registry would refuse the name.
        """
        if not _NAME.fullmatch(name):
            raise ImageError(f"{name!r} cannot name an image; use lower-case letters, digits and single . _ or -.")
        return ImageRepository(self.transport, f"{self.location.rstrip('/')}/{name}")

    def candidates(self, model: str) -> ImageRepository:
        """Return the repository of the images of `model` that are not tested yet."""
        return self.repository(f"{model}-candidate")

    def releases(self, model: str) -> ImageRepository:
        """Return the repository of the images of `model` that passed their test."""
        return self.repository(model)


def _parse_location(text: str) -> tuple[ImageTransport, str]:
    if text.startswith("docker://"):
        return "docker", text.removeprefix("docker://").rstrip("/")
    if text.startswith("oci:") and len(text) > len("oci:"):
        return "oci", str(Path(text.removeprefix("oci:")).expanduser().absolute())
    raise ImageError(f"{text!r} is not a valid image location; write oci:FOLDER or docker://HOST/REPO.")


def _check_folder(path: str) -> None:
    if ":" in path or not path.isprintable():
        raise ImageError(f"the folder {path!r} cannot hold images: its path has a colon or a control character.")
    if not path.startswith("/"):
        raise ImageError(f"the folder {path!r} of an image layout has to be absolute.")


def _check_host_path(path: str) -> None:
    host, slash, names = path.partition("/")
    if not _HOST.fullmatch(host) or (slash and not all(_NAME.fullmatch(part) for part in names.split("/"))):
        raise ImageError(
            f"docker://{path} is not a registry's address; write docker://HOST[:PORT]/REPO "
            "with lower-case names, without user, tag or digest."
        )

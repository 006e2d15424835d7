"""The JSON documents of an image (OCI Image Specification), as they are on the wire."""

from typing import Any, NotRequired, TypedDict

#: An image configuration ("OCI Image Configuration"), which Docker and Buildah extend by fields of their own.
ImageConfig = dict[str, Any]


class PlatformFields(TypedDict):
    """Which platform an image is for ("OCI Image Index", `platform`)."""

    os: str
    architecture: str
    variant: NotRequired[str]


class Descriptor(TypedDict):
    """What names a blob ("OCI Content Descriptors"); `size` is in bytes."""

    mediaType: str
    digest: str
    size: int
    platform: NotRequired[PlatformFields]
    annotations: NotRequired[dict[str, str]]


class ImageManifest(TypedDict):
    """An image manifest, which has `config` and `layers`, or an image index, which has `manifests`."""

    schemaVersion: int
    mediaType: str
    config: NotRequired[Descriptor]
    layers: NotRequired[list[Descriptor]]
    manifests: NotRequired[list[Descriptor]]
    annotations: NotRequired[dict[str, str]]
